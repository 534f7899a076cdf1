"""What verdicts rest on, and verdicts of days and months."""
