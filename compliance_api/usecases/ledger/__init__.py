"""Enters things into the ledger, gives it heads, and shows it."""
