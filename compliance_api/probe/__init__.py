"""The probe: asks resolvers from outside and reports what it saw."""
