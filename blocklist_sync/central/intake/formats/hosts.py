"""Hosts files: an address that leads nowhere, then names; `#` begins a comment."""

from __future__ import annotations

from collections.abc import Sequence

from blocklist_sync.central.intake.formats.line import LineRefusedError, Listed

# Any other address is a mapping that somebody relies on, not a block.
NOWHERE = frozenset({"0.0.0.0", "127.0.0.1", "::", "::0", "::1", "0"})  # noqa: S104  nothing is bound to it

# What every hosts file says of the machine itself.
_BOILERPLATE = frozenset(
    {
        "localhost",
        "localhost.localdomain",
        "localhost4",
        "localhost6",
        "local",
        "broadcasthost",
        "ip6-localhost",
        "ip6-loopback",
        "ip6-localnet",
        "ip6-mcastprefix",
        "ip6-allnodes",
        "ip6-allrouters",
        "ip6-allhosts",
        "0.0.0.0",  # noqa: S104  some files name it so
    }
)
_MACHINE_ADDRESSES = frozenset({"255.255.255.255", "fe80::1%lo0", "ff00::0", "ff02::1", "ff02::2", "ff02::3"})


def parse(line: str) -> Sequence[Listed]:
    """The names on a line, if any.

    Raises:
        LineRefusedError: It is not an address that leads nowhere with names behind it.
    """
    words = line.partition("#")[0].split()
    if not words:
        return ()
    address, *names = words
    if address not in NOWHERE:
        if address in _MACHINE_ADDRESSES and _BOILERPLATE.issuperset(names):
            return ()
        raise LineRefusedError("the address is none that blocks (0.0.0.0, 127.0.0.1, ::, ::1)")
    if not names:
        raise LineRefusedError("an address without a name")
    return [Listed(name) for name in names if name not in _BOILERPLATE]
