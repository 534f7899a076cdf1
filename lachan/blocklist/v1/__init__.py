"""Version 1 of the list authority's contracts."""
