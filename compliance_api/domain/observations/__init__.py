"""What probes saw, and by which way they came to see it."""
