"""Challenges nodes, and sums up what their openings say."""
