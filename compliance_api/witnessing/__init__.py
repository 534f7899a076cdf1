"""Witnesses over HTTP: a service of one's own, and asking those of others."""
