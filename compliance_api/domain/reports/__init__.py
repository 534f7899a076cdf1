"""What a node claims: its chain of reports, the windows it owes, and the sums that outlive reports."""
