"""Verbs of `lachan-resolver` that have a subject of their own."""
