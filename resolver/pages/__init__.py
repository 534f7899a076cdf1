"""Web pages of an edge: why a name is blocked, and whether a network is protected."""
