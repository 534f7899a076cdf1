"""Which resolvers the line was handed out, by DHCP, RA or PPP, as this machine's network configuration has it.

Holds always: files are read, nothing is asked and nothing is changed; what is read is bounded; a resolver of this
machine itself (a stub) is not one that the line was handed; a lease that has ended hands out nothing.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from compliance_api.probe.settings import HandedSettings

MAX_FILE_BYTES = 1 << 18
MAX_FILES = 64
MAX_RESOLVERS = 16

USUAL = (
    HandedSettings(kind="resolv.conf", path=Path("/run/systemd/resolve/resolv.conf")),
    HandedSettings(kind="networkd", path=Path("/run/systemd/netif/leases")),
    HandedSettings(kind="resolv.conf", path=Path("/run/NetworkManager/no-stub-resolv.conf")),
    HandedSettings(kind="networkmanager", path=Path("/var/lib/NetworkManager")),
    HandedSettings(kind="dhclient", path=Path("/var/lib/dhcp")),
    HandedSettings(kind="resolv.conf", path=Path("/etc/ppp/resolv.conf")),
    HandedSettings(kind="resolv.conf", path=Path("/etc/resolv.conf")),
)
"""Where the resolvers of a line stand, the most direct witness first."""

_LEASE = re.compile(r"^lease6?\s*\{(.*?)^\}", re.MULTILINE | re.DOTALL)
_INTERFACE = re.compile(r'^\s*interface\s+"([^"]{1,64})"\s*;', re.MULTILINE)
_SERVERS = re.compile(r"^\s*option\s+(?:domain-name-servers|dhcp6\.name-servers)\s+([^;]{1,1000});", re.MULTILINE)
_EXPIRE = re.compile(
    r"^\s*expire\s+(?:epoch\s+(\d{1,12})|\d\s+(\d{4}/\d{1,2}/\d{1,2}\s+\d{1,2}:\d{2}:\d{2}))", re.MULTILINE
)


@dataclass(frozen=True)
class Handed:
    """What was found, and where; nothing, and nowhere."""

    resolvers: tuple[str, ...] = ()
    source: str = ""


def _usable(texts: Iterable[str]) -> Iterator[str]:
    """The addresses among the texts that may be somebody else's resolver, each once."""
    seen: set[str] = set()
    for text in texts:
        try:
            address = ipaddress.ip_address(text.strip())
        except ValueError:
            continue
        if address.is_loopback or address.is_unspecified or address.is_multicast or str(address) in seen:
            continue
        seen.add(str(address))
        yield str(address)


def resolv_conf(text: str) -> list[str]:
    """The `nameserver` lines of resolv.conf(5)."""
    words = (line.split() for line in text.splitlines())
    return list(_usable(line[1] for line in words if len(line) > 1 and line[0] == "nameserver"))


def networkd(text: str) -> list[str]:
    """The `DNS=` lines of a lease of systemd-networkd, or of NetworkManager's own client."""
    found = (line.partition("=") for line in text.splitlines())
    return list(_usable(word for key, _, value in found if key.strip() == "DNS" for word in value.split()))


def dhclient(text: str, now: float) -> list[str]:
    """The servers of the last lease of each interface in dhclient.leases(5), as far as they have not ended."""
    latest: dict[str, str] = {}
    for block in _LEASE.findall(text):
        name = _INTERFACE.search(block)
        latest[name.group(1) if name else ""] = block
    return list(
        _usable(
            word
            for block in latest.values()
            if not _ended(block, now)
            for words in _SERVERS.findall(block)
            for word in words.split(",")
        )
    )


def _ended(block: str, now: float) -> bool:
    told = _EXPIRE.search(block)
    if told is None:
        return False
    if told.group(1):
        return int(told.group(1)) <= now
    try:
        ends = datetime.strptime(" ".join(told.group(2).split()), "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return True
    return ends.timestamp() <= now


def _read(source: HandedSettings) -> Iterator[str]:
    """The texts of a source, the newest first; what cannot be read is passed over."""
    path = source.path
    try:
        files = sorted(path.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True) if path.is_dir() else [path]
    except OSError:
        return
    if path.is_dir() and source.kind != "networkd":
        files = [one for one in files if one.suffix in {".lease", ".leases"}]
    for file in files[:MAX_FILES]:
        try:
            with file.open("rb") as opened:
                yield opened.read(MAX_FILE_BYTES).decode("utf-8", "replace")
        except OSError:
            continue


def _parse(kind: str, text: str, now: float) -> list[str]:
    if kind == "resolv.conf":
        return resolv_conf(text)
    if kind == "dhclient":
        return dhclient(text, now)
    # NetworkManager keeps leases of its own client and of dhclient in one folder.
    return networkd(text) or (dhclient(text, now) if kind == "networkmanager" else [])


def find(sources: Sequence[HandedSettings], now: float) -> Handed:
    """The resolvers of the first source that names any.

    Args:
        sources: Where to look; the usual places where there are none.
        now: Seconds since 1970, UTC.
    """
    for source in sources or USUAL:
        found = list(dict.fromkeys(one for text in _read(source) for one in _parse(source.kind, text, now)))
        if found:
            return Handed(tuple(found[:MAX_RESOLVERS]), f"{source.kind} {source.path}")
    return Handed()
