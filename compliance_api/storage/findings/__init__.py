"""Verdicts in force, findings with every version, and the steps taken."""
