"""Findings, for those who read them and those who take steps."""
