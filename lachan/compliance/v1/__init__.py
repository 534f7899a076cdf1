"""Version 1 of the compliance service's contracts."""
