"""What can be found against an operator, and what becomes of a finding."""
