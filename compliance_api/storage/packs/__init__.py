"""Packs of evidence: what goes in, what is withheld, and the proofs."""
