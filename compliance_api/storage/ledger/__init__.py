"""Leaves in the transaction of what they commit to, and the heads over them."""
