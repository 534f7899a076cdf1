"""Verbs of `lachan-blocklist` that are a module each."""
