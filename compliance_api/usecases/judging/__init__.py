"""Counts legal days and reaches the verdicts."""
