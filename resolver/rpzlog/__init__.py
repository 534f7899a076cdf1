"""Reports from another resolver's log: for operators who keep theirs and take the list as a zone (RPZ)."""
