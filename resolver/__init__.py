"""The edge: a DNS resolver that applies the signed list and reports what it did."""
