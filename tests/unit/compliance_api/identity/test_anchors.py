from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes

from compliance_api.identity import anchors
from compliance_api.identity.anchors import Anchors, read_roots
from lachan.tls import TlsError
from tests.support import foreign

NODE = "lachan://b/node/e1"
OURS, THEIRS = foreign.root("ours"), foreign.root("theirs")
BETWEEN = THEIRS.authority("between")
LEAF = BETWEEN.leaf(NODE)
NOW = datetime.now(UTC)


def test_a_leaf_says_who_shows_it() -> None:
    shown = Anchors().shown(LEAF.pem)
    assert str(shown.identity) == NODE
    assert shown.fingerprint == LEAF.certificate.fingerprint(hashes.SHA256())
    assert shown.not_before == LEAF.certificate.not_valid_before_utc


@pytest.mark.parametrize("bad", [b"", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", OURS.pem])
def test_what_names_nobody_is_refused(bad: bytes) -> None:
    with pytest.raises(TlsError):
        Anchors().shown(bad)


def test_a_chain_is_followed_to_the_roots_that_count_and_to_no_others() -> None:
    mine = Anchors()
    mine.verify(LEAF.pem, BETWEEN.pem, THEIRS.pem, NOW)
    mine.verify(LEAF.pem, BETWEEN.pem, OURS.pem + THEIRS.pem, NOW)
    mine.verify(THEIRS.leaf(NODE).pem, b"", THEIRS.pem, NOW)
    for leaf, between, roots in (
        (LEAF, BETWEEN.pem, OURS.pem),
        (LEAF, b"", THEIRS.pem),
        (OURS.leaf(NODE), BETWEEN.pem, THEIRS.pem),
        # Somebody with a leaf of theirs who plays authority.
        (foreign.make("x", THEIRS.leaf(NODE), uri=NODE), LEAF.pem, THEIRS.pem),
    ):
        with pytest.raises(TlsError, match="vouches"):
            mine.verify(leaf.pem, between, roots, NOW)


def test_what_was_verified_once_does_not_outlive_its_end() -> None:
    mine = Anchors()
    mine.verify(LEAF.pem, BETWEEN.pem, THEIRS.pem, NOW)
    for later in (timedelta(days=2), timedelta(days=-2)):
        with pytest.raises(TlsError):
            mine.verify(LEAF.pem, BETWEEN.pem, THEIRS.pem, NOW + later)
    mine.verify(LEAF.pem, BETWEEN.pem, THEIRS.pem, NOW)


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchors, "MAX_REMEMBERED", 2)
    mine = Anchors()
    leaves = [THEIRS.leaf(NODE) for _ in range(4)]
    for leaf in leaves * 2:
        mine.shown(leaf.pem)
        mine.verify(leaf.pem, b"", THEIRS.pem, NOW)
    assert len(mine._shown) == len(mine._verified) == 2


def test_roots_are_certificates_that_may_sign() -> None:
    assert len(read_roots(OURS.pem + THEIRS.pem, "file")) == 2
    for bad in (b"", b"x", LEAF.pem, OURS.pem * 17):
        with pytest.raises(TlsError, match="file"):
            read_roots(bad, "file")
