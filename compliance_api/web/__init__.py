"""The console: what auditors see, in Vietnamese first."""
