"""Assignments, observations, and what they were drawn from and held against."""
