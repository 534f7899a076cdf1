"""Who takes part, who may speak for whom, and how much each may take."""
