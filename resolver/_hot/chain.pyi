# Reached from compiled modules only.
