"""Lines of a resolver's log, read as hits on the list's zone.

Holds always: a line is a hit, of no interest, or malformed, and the last is said; of a hit, only its time, what was
done and a name to find the rule by are taken, for as long as that takes: no client, and nothing that is kept.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lachan.compliance.v1 import report_pb2 as pb

_NAME = re.compile(rb"[a-z0-9_.-]{1,253}")


class Done(enum.Enum):
    """What the resolver did."""

    NXDOMAIN = "nxdomain"
    NODATA = "nodata"
    DATA = "data"
    """Answered with records of the zone: an address, or an alias to the block page."""
    DROP = "drop"
    SHADOW = "shadow"
    """Logged and not done: the operator has switched the zone off."""


class Form(enum.Enum):
    """Who wrote the log."""

    UNBOUND = "unbound"
    BIND = "bind"
    LACHAN = "lachan"

    @property
    def number(self) -> pb.HitLogForm.ValueType:
        """As reports tell it."""
        return _FORMS[self]


_FORMS = {
    Form.UNBOUND: pb.HIT_LOG_FORM_UNBOUND,
    Form.BIND: pb.HIT_LOG_FORM_BIND,
    Form.LACHAN: pb.HIT_LOG_FORM_LACHAN,
}


@dataclass(frozen=True, slots=True)
class Hit:
    """A query that met the zone."""

    at: int
    """Seconds since 1970-01-01 UTC."""
    done: Done
    name: str = field(repr=False)
    """What the zone's record is called, or what was asked for where the log does not say."""
    below: bool
    """It was a name below that one."""


class MalformedError(ValueError):
    """A line ought to be a hit and cannot be read. It says nothing of the line: names and clients stand in it."""


Reader = Callable[[bytes], "Hit | None"]
"""From a line without its end to a hit; None where it is none, or of a zone that is not the list's."""

# Unbound 1.14 to 1.17 and later, `rpz-log: yes`, `log-time-ascii: no`:
# [1795333410] unbound[2258:0] info: rpz: applied [lachan] *.bad.example. rpz-nxdomain 192.0.2.9@33933
#     www.bad.example. A IN
_UNBOUND = re.compile(
    rb"\[(?P<at>\d{1,12})(?:\.\d+)?\] \S+ info: rpz: applied (?:\[(?P<zone>[^\]]*)\] )?(?P<trigger>\S+) "
    rb"rpz-(?P<done>\S+) .*"
)
_UNBOUND_DONE = {
    b"nxdomain": Done.NXDOMAIN, b"nodata": Done.NODATA, b"local-data": Done.DATA, b"cname-override": Done.DATA,
    b"drop": Done.DROP, b"disabled": Done.SHADOW, b"passthru": None, b"tcp-only": None,
}  # fmt: skip

# BIND 9.16 and later, category rpz, `print-time iso8601-utc`:
# 2026-11-22T07:43:30.529Z rpz: info: client @0x7f02… 192.0.2.9#51832 (www.bad.example): rpz QNAME NXDOMAIN rewrite
#     www.bad.example/A/IN via www.bad.example.lachan.rpz.so.example
_BIND = re.compile(
    rb"(?P<at>\S+Z) (?:rpz: )?(?:info: )?client .*?: (?:view \S+: )?(?P<off>disabled )?rpz QNAME (?P<done>\S+) rewrite "
    rb"(?P<asked>\S+?)(?:/[^/ ]+/[^/ ]+)? via (?P<trigger>\S+)"
)
_BIND_DONE = {
    b"nxdomain": Done.NXDOMAIN, b"nodata": Done.NODATA, b"local-data": Done.DATA, b"cname": Done.DATA,
    b"drop": Done.DROP, b"passthru": None, b"tcp-only": None,
}  # fmt: skip

# deploy/pdns-recursor/hits.lua, deploy/knot-resolver/lachan-rpz.lua:
# lachan-hit 1795333410 nxdomain *.bad.example. www.bad.example.
_LACHAN = re.compile(rb"lachan-hit (?P<at>\d{1,12}) (?P<done>[a-z-]+) (?P<trigger>\S+) (?P<asked>\S+)")
_LACHAN_DONE = {
    b"nxdomain": Done.NXDOMAIN, b"nodata": Done.NODATA, b"data": Done.DATA, b"drop": Done.DROP,
    b"passthru": None, b"tcp-only": None,
}  # fmt: skip


def _hit(at: int, done: Done, name: bytes) -> Hit:
    name = name.lower().removesuffix(b".")
    below = name.startswith(b"*.")
    name = name.removeprefix(b"*.")
    if not _NAME.fullmatch(name):
        raise MalformedError
    return Hit(at, done, name.decode("ascii"), below)


def _unbound(zone: str) -> Reader:
    wanted = zone.encode()

    def read(line: bytes) -> Hit | None:
        if b" info: rpz: applied " not in line:
            return None
        match = _UNBOUND.fullmatch(line)
        if match is None or match["done"] not in _UNBOUND_DONE:
            raise MalformedError
        done = _UNBOUND_DONE[match["done"]]
        if done is None or match["zone"] != wanted:
            return None
        return _hit(int(match["at"]), done, match["trigger"])

    return read


def _bind(origin: str) -> Reader:
    suffix = b"." + origin.encode()

    def read(line: bytes) -> Hit | None:
        if b"rpz QNAME " not in line:
            return None
        match = _BIND.fullmatch(line)
        word = match["done"].lower() if match is not None else b""
        if match is None or word not in _BIND_DONE:
            raise MalformedError
        trigger = match["trigger"].lower().removesuffix(b".")
        done = _BIND_DONE[word]
        if done is None or not trigger.endswith(suffix):
            return None
        try:
            at = int(datetime.fromisoformat(match["at"].decode()).astimezone(UTC).timestamp())
        except ValueError as error:
            raise MalformedError from error
        # The name after `via` is the query's own for a wildcard as well: what is on the list is found from it.
        return _hit(at, Done.SHADOW if match["off"] else done, trigger.removesuffix(suffix))

    return read


def _lachan(line: bytes) -> Hit | None:
    if not line.startswith(b"lachan-hit "):
        return None
    match = _LACHAN.fullmatch(line)
    if match is None or match["done"] not in _LACHAN_DONE:
        raise MalformedError
    done = _LACHAN_DONE[match["done"]]
    if done is None:
        return None
    return _hit(int(match["at"]), done, match["asked"] if match["trigger"] == b"-" else match["trigger"])


def reader(form: Form, origin: str, log_name: str) -> Reader:
    """What reads a log's lines.

    Args:
        form: Who wrote it.
        origin: The zone, for who names it.
        log_name: What the zone is called, for who says that (`rpz-log-name`).
    """
    if form is Form.UNBOUND:
        return _unbound(log_name)
    return _bind(origin) if form is Form.BIND else _lachan
