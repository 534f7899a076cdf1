"""Which names are asked: drawn from seeds, so that anybody can draw them again."""
