"""A base for the demo's ports that is free now, below those that the kernel gives away on its own."""

from __future__ import annotations

import random

from deploy.demo.ports import PortError, Ports


def free_base() -> int:
    """A base from which on every port of the demo is free."""
    while True:
        base = random.randrange(12_000, 32_000)
        try:
            Ports(base).check()
        except PortError:
            continue
        return base
