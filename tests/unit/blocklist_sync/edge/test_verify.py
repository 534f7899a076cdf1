from __future__ import annotations

import dataclasses
import hashlib

import pytest

from blocklist_sync.artifact import policy
from blocklist_sync.edge.errors import Reason, RefusedError
from blocklist_sync.edge.verify import InForce, Limits, Offer, admit, check, offer
from tests.support.blocklist import entry, release

DATA = release(entry("a.example"), serial=5).data
DIGEST = hashlib.sha256(DATA).digest()
BUNDLE = policy.default().encode()
OFFER = Offer(5, DIGEST, len(DATA), len(BUNDLE), 1_800_000_000, urgent=False)
LIMITS = Limits(1 << 20, 1 << 16)
CUSTOM = {"serial": 5, "urgent": False}
PUBLISHED = 1_800_000_000


def test_an_offer_is_read_from_the_signed_metadata() -> None:
    assert offer(CUSTOM, DIGEST.hex(), len(DATA), len(BUNDLE), PUBLISHED) == OFFER
    assert offer(CUSTOM | {"urgent": True}, DIGEST.hex(), 1, 1, PUBLISHED).urgent


@pytest.mark.parametrize(
    ("custom", "digest"),
    [
        (None, DIGEST.hex()),
        ([], DIGEST.hex()),
        ({}, DIGEST.hex()),
        (CUSTOM | {"serial": 0}, DIGEST.hex()),
        (CUSTOM | {"serial": True}, DIGEST.hex()),
        (CUSTOM | {"serial": "5"}, DIGEST.hex()),
        (CUSTOM | {"serial": 1 << 63}, DIGEST.hex()),
        (CUSTOM, None),
        (CUSTOM, "zz"),
        (CUSTOM, "00"),
    ],
)
def test_metadata_that_says_nothing_usable(custom: object, digest: str | None) -> None:
    with pytest.raises(RefusedError) as refused:
        offer(custom, digest, 1, 1, PUBLISHED)
    assert refused.value.reason is Reason.MALFORMED


@pytest.mark.parametrize("moment", [None, 0, -1, "1800000000", True])
def test_a_release_says_when_it_was_published(moment: object) -> None:
    with pytest.raises(RefusedError) as refused:
        offer(CUSTOM, DIGEST.hex(), 1, 1, moment)
    assert refused.value.reason is Reason.MALFORMED


def test_only_what_is_newer_is_wanted() -> None:
    assert admit(OFFER, InForce(), LIMITS)
    assert admit(OFFER, InForce(4, b"x"), LIMITS)
    assert not admit(OFFER, InForce(5, DIGEST), LIMITS)


@pytest.mark.parametrize(
    ("in_force", "limits", "reason"),
    [
        (InForce(6, b"x"), LIMITS, Reason.OLDER),
        (InForce(5, b"x"), LIMITS, Reason.TAMPERED),
        (InForce(), Limits(len(DATA) - 1, 1 << 16), Reason.OVERSIZED),
        (InForce(), Limits(1 << 20, len(BUNDLE) - 1), Reason.OVERSIZED),
    ],
)
def test_what_is_not_admitted(in_force: InForce, limits: Limits, reason: Reason) -> None:
    with pytest.raises(RefusedError) as refused:
        admit(OFFER, in_force, limits)
    assert refused.value.reason is reason


def test_a_release_is_read_to_its_last_byte() -> None:
    verified = check(OFFER, DATA, BUNDLE)
    assert (verified.release.serial, verified.policy) == (5, policy.default())


def resigned(data: bytes) -> Offer:
    return dataclasses.replace(OFFER, records_digest=hashlib.sha256(data).digest(), records_bytes=len(data))


FOREIGN = DATA[:-5] + b"\x09" + DATA[-4:]


@pytest.mark.parametrize(
    ("offered", "data", "bundle", "reason"),
    [
        (OFFER, DATA[:-1], BUNDLE, Reason.TRUNCATED),
        (OFFER, DATA[:-1] + b"x", BUNDLE, Reason.TAMPERED),
        (OFFER, DATA + b"x", BUNDLE, Reason.TAMPERED),
        (resigned(DATA + b"x"), DATA + b"x", BUNDLE, Reason.MALFORMED),
        (resigned(FOREIGN), FOREIGN, BUNDLE, Reason.FOREIGN_CATEGORY),
        (dataclasses.replace(OFFER, serial=6), DATA, BUNDLE, Reason.MALFORMED),
        (OFFER, DATA, b"{}", Reason.MALFORMED),
        (OFFER, DATA, BUNDLE.replace(b"scam", b"spam"), Reason.FOREIGN_CATEGORY),
    ],
)
def test_what_is_refused(offered: Offer, data: bytes, bundle: bytes, reason: Reason) -> None:
    with pytest.raises(RefusedError) as refused:
        check(offered, data, bundle)
    assert refused.value.reason is reason
    assert str(reason) in str(refused.value)
