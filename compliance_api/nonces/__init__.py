"""The authority's own small zone: whoever asks it for a nonce shows from which address a resolver asks the world."""
