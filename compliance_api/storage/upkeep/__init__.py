"""Partitions, retention and legal holds."""
