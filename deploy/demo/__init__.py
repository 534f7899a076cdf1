"""The whole system on one machine, without the internet: `make demo`.

What is here plays the parts that others play in the world: the internet's names, clients, and an operator who cheats.
None of it is part of the product.
"""
