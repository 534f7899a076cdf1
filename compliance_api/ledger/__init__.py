"""The ledger's core: a Merkle tree, its signed and cosigned heads, salted leaves, and who verifies them."""
