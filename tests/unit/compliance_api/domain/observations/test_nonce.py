from __future__ import annotations

from compliance_api.domain.observations import nonce

KEY = bytes(32)


def test_only_who_holds_the_key_makes_a_nonce_that_holds() -> None:
    made = nonce.make(KEY, b"0123456789")
    assert len(made) == nonce.CHARACTERS
    assert nonce.holds(KEY, made)
    assert not nonce.holds(bytes([1]) * 32, made)
    assert nonce.make(KEY, b"9876543210") != made
    for other in ("", made[:-1], made.upper(), made + "a", "a" * 24, "1" * 24, "ß" * 24, made[:-1] + "\n"):
        assert not nonce.holds(KEY, other)
