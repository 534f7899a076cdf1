"""Lets parties in and out, knows who is in, and how much each may take."""
