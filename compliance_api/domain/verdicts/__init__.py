"""From the evidence of a period to a verdict: the case, the counted days, the findings."""
