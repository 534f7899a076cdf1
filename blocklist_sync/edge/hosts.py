"""Addresses of the list authority's hosts, found without this machine's own resolver where it is told how.

Holds always: a name is found by the settings, or by asking resolvers (the system's where none are given), or by what
worked last, in that order of trust and without waiting longer than told; what is found here is never proof of anything,
certificates are verified by the name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from blocklist_sync.edge.settings import HostSettings
from lachan import durable, log
from lachan.asking import Manner, Server
from lachan.config import split_host_port
from lachan.exchange import exchange
from lachan.message import AAAA, A, MessageError, query

KEPT_SECONDS = 60.0
ADDRESSES_MAX = 8
FILE_MAX_BYTES = 1 << 16
FORM = 1

Asked = Callable[[str], Sequence[str]]


def _literal(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def ask_system(host: str, timeout: float) -> list[str]:
    """What the system's resolver says, within the time: it may wait for a resolver that is this very machine's."""
    answers: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError:
            answers.put([])
        else:
            answers.put([str(place[0]) for *_, place in found])

    threading.Thread(target=ask, name="getaddrinfo", daemon=True).start()
    try:
        return answers.get(timeout=timeout)
    except queue.Empty:
        return []


async def _ask(host: str, resolver: str, manner: Manner) -> list[str]:
    address, port = split_host_port(resolver)
    try:
        questions = [query(host, rdtype, id=0) for rdtype in (A, AAAA)]
    except MessageError:
        return []
    asked = await asyncio.gather(*(exchange(Server(address, port), question, manner) for question in questions))
    return [
        str(ipaddress.ip_address(record.address))
        for one in asked
        if one.message is not None
        for record in one.message.answers
        if record.address is not None
    ]


def ask_resolvers(host: str, resolvers: Sequence[str], timeout: float) -> list[str]:
    """What the first of these resolvers says that knows the name."""

    async def ask() -> list[str]:
        for resolver in resolvers:
            if found := await _ask(host, resolver, Manner(tries=2, timeout=timeout / 2)):
                return found
        return []

    return asyncio.run(ask())


class Hosts:
    """Looks hosts up; used by several threads.

    Args:
        settings: How.
        path: Where addresses that worked are remembered.
        clock: Monotonic seconds.
    """

    def __init__(self, settings: HostSettings, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._worked: dict[str, list[str]] | None = None

    def addresses(self, host: str) -> list[str]:
        """Where `host` may be reached, best first; empty where nobody knows. Blocks."""
        if literal := _literal(host):
            return [literal]
        if static := self._settings.addresses.get(host):
            return list(static)
        with self._lock:
            until, found = self._known.get(host, (0.0, ()))
        if self._clock() >= until:
            found = tuple(dict.fromkeys(self._looked_up(host)))[:ADDRESSES_MAX]
            with self._lock:
                self._known[host] = (self._clock() + (KEPT_SECONDS if found else 0.0), found)
        with self._lock:
            remembered = self._remembered().get(host, [])
        # What worked goes first where it is still said to be one, and last where it is not.
        first = [address for address in remembered if address in found]
        return list(dict.fromkeys((*first, *found, *remembered)))

    def _looked_up(self, host: str) -> list[str]:
        settings = self._settings
        if settings.resolvers:
            return ask_resolvers(host, settings.resolvers, settings.timeout)
        return ask_system(host, 2 * settings.timeout)

    def worked(self, host: str, address: str) -> None:
        """A server that proved to be `host` was reached there; it is remembered for when nobody can be asked."""
        if _literal(host):
            return
        with self._lock:
            kept = self._remembered()
            known = kept.get(host, [])
            if known[:1] == [address]:
                return
            kept[host] = [address, *(other for other in known if other != address)][:ADDRESSES_MAX]
            try:
                durable.make_folder(self._path.parent)
                durable.write(self._path, [json.dumps({"form": FORM, "hosts": kept}, indent=1).encode()])
            except durable.FileError as error:
                log.get().warning("addresses are not remembered", reason=str(error))

    def _remembered(self) -> dict[str, list[str]]:
        if self._worked is None:
            self._worked = _read(self._path)
        return self._worked


def _read(path: Path) -> dict[str, list[str]]:
    """What was remembered; a file that is damaged is of no use, and harms nobody."""
    try:
        document: Any = json.loads(durable.read(path, FILE_MAX_BYTES))
        return {
            str(host): [str(ipaddress.ip_address(address)) for address in addresses][:ADDRESSES_MAX]
            for host, addresses in document["hosts"].items()
        }
    except (durable.FileError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
