"""Which counts a node opens, and the message that opens them: decisions only.

Holds always: nothing is opened at a node of few clients, of an hour that is not over for long enough, or beyond so many
counts a day, whoever asks; what was told is noted on the disk before it leaves; the rules that were not asked leave
as seals alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from lachan import durable, signing
from lachan.compliance.v1 import challenge_service_pb2 as pb
from lachan.rulecounts import BEYOND
from lachan.signing import SigningKey
from resolver.authority import FEW_CLIENTS, OpeningSettings
from resolver.disclosure import check
from resolver.openings import HOUR, KEEP_HOURS, Openings

MAX_RULES = 256
ID_BYTES = 16
DAY = 24 * HOUR
MAX_NOTE_BYTES = 8 << 20

NOTE = "opened.json"


class Told:
    """Which counts were opened already, by day; a note that cannot be read counts as nothing left to tell."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _read(self) -> dict[int, set[tuple[int, int]]]:
        if not self._path.exists():
            return {}
        raw = json.loads(durable.read(self._path, MAX_NOTE_BYTES))
        return {int(day): {(int(hour), int(rule, 16)) for hour, rule in told} for day, told in raw.items()}

    def may_tell(self, hour: int, fingerprints: Sequence[int], most: int) -> bool:
        """Notes that these are told; False where that is more than `most` of a day.

        Raises:
            durable.FileError: The disk takes no more.
        """
        try:
            known = self._read()
        except (ValueError, TypeError, AttributeError, durable.FileError):
            return False
        day = hour // DAY
        told = known.setdefault(day, set()) | {(hour, one) for one in fingerprints if one != BEYOND}
        if len(told) > most:
            return False
        known[day] = told
        kept = {
            str(one): [(told_hour, f"{rule:016x}") for told_hour, rule in sorted(rules)]
            for one, rules in known.items()
            if one >= day - KEEP_HOURS * HOUR // DAY - 1
        }
        durable.make_folder(self._path.parent)
        durable.write(self._path, [json.dumps(kept).encode()])
        return True


class Opener:
    """Answers what the authority asks of one node."""

    def __init__(
        self, openings: Openings, told: Told, key: SigningKey, organisation: str, node: str, settings: OpeningSettings
    ) -> None:
        self._openings = openings
        self._told = told
        self._key = key
        self._organisation = organisation
        self._node = node
        self._settings = settings

    def _refusal(self, request: pb.OpeningRequest, now: float) -> pb.OpeningRefusal.ValueType:
        if self._settings.clients <= FEW_CLIENTS:
            return pb.OPENING_REFUSAL_FEW_CLIENTS
        if request.hour % HOUR or not 0 <= request.hour < now:
            return pb.OPENING_REFUSAL_NOT_KEPT
        if request.hour + HOUR + self._settings.after > now:
            return pb.OPENING_REFUSAL_TOO_EARLY
        if len(request.fingerprints) > MAX_RULES:
            return pb.OPENING_REFUSAL_TOO_MANY
        return pb.OPENING_REFUSAL_UNSPECIFIED

    def open(self, request: pb.OpeningRequest, now: float) -> pb.SignedOpening:
        """What to answer, signed. Takes a second or two for a long list, and writes to the disk.

        Args:
            request: As the authority asked.
            now: Seconds since 1970.

        Raises:
            OpeningsError, durable.FileError: What was kept cannot be read, or the disk takes no more.
            DisclosureError: It would tell more than an opening may.
        """
        answer = pb.Opening(
            challenge_id=request.challenge_id[:ID_BYTES],
            organisation=self._organisation,
            node=self._node,
            hour=request.hour,
            refusal=self._refusal(request, now),
        )
        if not answer.refusal:
            self._fill(answer, sorted({BEYOND, *request.fingerprints}))
        check(answer)
        data = answer.SerializeToString(deterministic=True)
        return pb.SignedOpening(
            opening=data, signature=self._key.sign(signing.OPENING, data), key_id=self._key.public.key_id
        )

    def _fill(self, answer: pb.Opening, asked: Sequence[int]) -> None:
        counted = self._openings.commitment(answer.hour)
        if counted is None:
            answer.refusal = pb.OPENING_REFUSAL_NOT_KEPT
            return
        if not self._told.may_tell(answer.hour, asked, self._settings.rules_a_day):
            answer.refusal = pb.OPENING_REFUSAL_TOO_MANY
            return
        buckets, rules = counted.open(asked)
        answer.buckets.extend(pb.OpenedBucket(position=b.position, entries=b.entries, path=b.path) for b in buckets)
        answer.rules.extend(pb.OpenedRule(fingerprint=r.fingerprint, count=r.count, salt=r.salt) for r in rules)
