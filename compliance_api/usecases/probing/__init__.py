"""Gives probes their work and takes what they saw."""
