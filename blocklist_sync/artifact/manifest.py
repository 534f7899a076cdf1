"""The signed list of deltas that lead to a release: one step for each of the releases before it, the newest last.

Holds always: the steps are a chain, each from where the one before ends, the last to the release that is signed beside
the manifest; at most `MAX_STEPS`; one chain has one text; an error names its offset.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from blocklist_sync.artifact.errors import ArtifactError

MAGIC = b"LACHANM1"
FORMAT = 1
MAX_STEPS = 64
MAX_GAP = 0xFFFF
MAX_DELTA_BYTES = 0xFFFFFFFF
DIGEST_BYTES = 16
"""Of SHA-256: what a delta makes is held against the whole digest of the signed records anyway."""

# Magic, format, steps, serial of the oldest release that the chain leads on from.
_HEADER = struct.Struct("<8sIIQ")
# By how much the serial grows, bytes of the delta, digest of the delta.
_ROW = struct.Struct("<HI16s")
MAX_BYTES = _HEADER.size + MAX_STEPS * _ROW.size


class ManifestError(ArtifactError):
    """The bytes are no manifest; `offset` is where that shows."""

    def __init__(self, offset: int, reason: str) -> None:
        self.offset = offset
        self.reason = reason
        super().__init__(f"manifest, byte {offset}: {reason}")


@dataclass(frozen=True)
class Step:
    """One delta: from which serial to which, and what it must be."""

    from_serial: int
    to_serial: int
    length: int
    digest: bytes

    @property
    def name(self) -> str:
        """Of the delta's file; a name's bytes never change."""
        return f"{self.digest.hex()}.delta"

    def fits(self, data: bytes) -> bool:
        """Whether these are the bytes that are meant."""
        return len(data) == self.length and digest(data) == self.digest


def digest(data: bytes) -> bytes:
    """A delta's digest as a manifest has it."""
    return hashlib.sha256(data).digest()[:DIGEST_BYTES]


@dataclass(frozen=True)
class Manifest:
    """The chain that leads from serial `base` to serial `serial`."""

    base: int
    steps: tuple[Step, ...] = ()

    @property
    def serial(self) -> int:
        """Of the release that the chain leads to."""
        return self.steps[-1].to_serial if self.steps else self.base

    def extended(self, serial: int, delta: bytes) -> Manifest:
        """The chain with a further delta, without what is too old then; one without steps where a row cannot say it."""
        if not 0 < serial - self.serial <= MAX_GAP or not 0 < len(delta) <= MAX_DELTA_BYTES:
            return Manifest(serial)
        steps = (*self.steps, Step(self.serial, serial, len(delta), digest(delta)))[-MAX_STEPS:]
        return Manifest(steps[0].from_serial, steps)

    def since(self, serial: int) -> tuple[Step, ...] | None:
        """The steps that lead on from a release; None where the chain does not begin that early, or passes it by."""
        for number, step in enumerate(self.steps):
            if step.from_serial == serial:
                return self.steps[number:]
        return None

    def encode(self) -> bytes:
        """The manifest's bytes."""
        rows = [_ROW.pack(step.to_serial - step.from_serial, step.length, step.digest) for step in self.steps]
        return b"".join((_HEADER.pack(MAGIC, FORMAT, len(rows), self.base), *rows))


def parse(data: bytes) -> Manifest:
    """The manifest in `data`.

    Raises:
        ManifestError: It is none.
    """
    if len(data) < _HEADER.size:
        raise ManifestError(len(data), "the header is cut short")
    magic, version, count, base = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise ManifestError(0, "not a manifest")
    if version != FORMAT:
        raise ManifestError(8, f"format {version}; this reads format {FORMAT}")
    if count > MAX_STEPS:
        raise ManifestError(12, f"{count} steps, more than {MAX_STEPS}")
    if base == 0:
        raise ManifestError(16, "serial 0 means no release")
    if len(data) != _HEADER.size + count * _ROW.size:
        raise ManifestError(len(data), f"{count} steps announced")
    steps: list[Step] = []
    serial = base
    for number, (gap, length, part) in enumerate(_ROW.iter_unpack(data[_HEADER.size :])):
        if gap == 0 or length == 0:
            raise ManifestError(_HEADER.size + number * _ROW.size, "a step to where it begins, or of no bytes")
        steps.append(Step(serial, serial + gap, length, part))
        serial += gap
    return Manifest(base, tuple(steps))
