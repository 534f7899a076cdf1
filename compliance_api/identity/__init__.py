"""Certificates: made, signed, and held against the authorities that count."""
