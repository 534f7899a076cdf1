"""The approvals log: proposals, what they change, who approved them, and the list that follows from it."""
