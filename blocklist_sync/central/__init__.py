"""The list authority: reads sources, builds releases, signs and publishes them."""
