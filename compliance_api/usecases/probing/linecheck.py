"""Takes checks of lines: what a school's line lets its users do beside its own resolver.

Holds always: a check is stored as its probe signed it, in the ledger, once; it says of each thing that was looked at
one state that this can have, and nothing of addresses or names; it is dated by the service's own stamps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from google.protobuf.message import DecodeError

from compliance_api.domain.parties.organisation import Probe, Registry
from compliance_api.errors import InvalidRequestError, NotPermittedError, Violation
from compliance_api.usecases.probing.stamp import Stamper
from compliance_api.usecases.reports.exact import RULE, is_exact
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.signing import LINE_CHECK, SigningError, VerifyKey
from lachan.stamp import StampError
from lachan.tls import Identity, Role

MAX_CHECK_BYTES = 1024
MAX_AGE = timedelta(hours=1)
"""From the stamp before the first question until the check is handed in."""

_REACHED = frozenset({pb.LINE_STATE_OPEN, pb.LINE_STATE_CLOSED, pb.LINE_STATE_INTERCEPTED, pb.LINE_STATE_UNKNOWN})
STATES: Mapping[int, frozenset[int]] = {
    pb.LINE_SUBJECT_OWN_RESOLVER: frozenset({pb.LINE_STATE_WORKS, pb.LINE_STATE_UNKNOWN}),
    pb.LINE_SUBJECT_OTHER_UDP_53: _REACHED,
    pb.LINE_SUBJECT_OTHER_TCP_53: _REACHED,
    pb.LINE_SUBJECT_OTHER_TLS_853: _REACHED,
    pb.LINE_SUBJECT_INTERCEPTION: frozenset({pb.LINE_STATE_NONE, pb.LINE_STATE_INTERCEPTED, pb.LINE_STATE_UNKNOWN}),
    pb.LINE_SUBJECT_CANARY: frozenset({pb.LINE_STATE_SET, pb.LINE_STATE_NOT_SET, pb.LINE_STATE_UNKNOWN}),
}
_OPEN = frozenset({pb.LINE_STATE_OPEN, pb.LINE_STATE_NOT_SET})


@dataclass(frozen=True)
class CheckedLine:
    """A check, as it is kept."""

    organisation: str
    probe: Probe
    # Between these two it was made.
    began_at: datetime
    received_at: datetime
    # By subject, in lower case.
    states: Mapping[str, str]
    # Whether whoever uses the line gets past its resolver by DNS alone, or a browser does by itself.
    open: bool
    check: bytes
    signature: bytes
    key_id: bytes

    @property
    def digest(self) -> bytes:
        """SHA-256 of what was signed."""
        return hashlib.sha256(self.check).digest()


class LineCheckStore(Protocol):
    """Keeps checks."""

    async def add(self, checked: CheckedLine) -> bool:
        """Stores a check and enters it into the ledger, unless it is stored; whether it did."""


class LineChecks:
    """The task of taking them."""

    def __init__(
        self, registry: Registry, store: LineCheckStore, stamper: Stamper, clock: Callable[[], datetime]
    ) -> None:
        self._registry = registry
        self._store = store
        self._stamper = stamper
        self._clock = clock

    async def submit(self, caller: Identity, signed: pb.SignedLineCheck) -> bool:
        """Stores a check; whether it is a new one.

        Raises:
            NotPermittedError: The caller is no probe, or is not known.
            InvalidRequestError: With what breaks a rule.
        """
        probe = self._registry.probe(caller.organisation, caller.name) if caller.role is Role.PROBE else None
        if probe is None:
            raise NotPermittedError(f"{caller} is not a probe in the registry")
        check = _read(signed, probe)
        now = self._clock()
        try:
            began = self._stamper.time(check.begun, b"")
        except StampError as error:
            raise _invalid("begun", str(error)) from error
        if began is None or not now - MAX_AGE <= began <= now:
            raise _invalid("begun", f"a stamp of this service's, at most {MAX_AGE.total_seconds():.0f} s old")
        states = _states(check)
        return await self._store.add(
            CheckedLine(
                caller.organisation,
                probe,
                began,
                now,
                {pb.LineSubject.Name(one)[13:].lower(): pb.LineState.Name(told)[11:].lower() for one, told in states},
                any(told in _OPEN for _, told in states),
                signed.check,
                signed.signature,
                signed.key_id,
            )
        )


def _invalid(field: str, rule: str) -> InvalidRequestError:
    return InvalidRequestError([Violation(f"check.{field}", rule)])


def _read(signed: pb.SignedLineCheck, probe: Probe) -> pb.LineCheck:
    if not 0 < len(signed.check) <= MAX_CHECK_BYTES:
        raise _invalid("check", f"1 to {MAX_CHECK_BYTES} bytes")
    try:
        key = VerifyKey.from_raw(probe.key)
        if signed.key_id != key.key_id:
            raise _invalid("key_id", "not the probe's key")
        key.verify(LINE_CHECK, signed.check, signed.signature)
        check = pb.LineCheck.FromString(signed.check)
    except SigningError as error:
        raise _invalid("signature", str(error)) from error
    except DecodeError as error:
        raise _invalid("check", "not a serialised LineCheck") from error
    if not is_exact(check, signed.check):
        raise _invalid("check", RULE)
    return check


def _states(check: pb.LineCheck) -> list[tuple[pb.LineSubject.ValueType, pb.LineState.ValueType]]:
    """What was found of each subject, in their order."""
    found = {one.subject: one.state for one in check.findings}
    if len(check.findings) != len(STATES) or found.keys() != STATES.keys():
        raise _invalid("findings", "each subject once")
    for subject, state in found.items():
        if state not in STATES[subject]:
            raise _invalid("findings", f"a state that {pb.LineSubject.Name(subject)} can have")
    return sorted(found.items())
