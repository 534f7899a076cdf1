"""The edge's side of the list: fetch within limits, verify, activate."""
