"""Challenges, their openings, and what came of them."""
