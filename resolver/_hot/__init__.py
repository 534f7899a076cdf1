"""The compiled packet path. Private to the resolver."""
