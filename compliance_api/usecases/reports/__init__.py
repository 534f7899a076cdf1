"""Takes what nodes claim."""
