"""Pure rules: windows, chains, observations, law, findings and verdicts. No I/O, no clock."""
