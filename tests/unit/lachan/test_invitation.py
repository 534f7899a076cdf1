from __future__ import annotations

import base64
import json

import pytest

from lachan.invitation import PREFIX, Invitation, InvitationError, hash_of
from lachan.tls import Identity, Role

ONE = Invitation("door.example:7447", b"p" * 32, Identity("a", Role.NODE, "e1"), b"s" * 32)


def test_a_token_says_all_a_newcomer_needs_and_survives_a_letter() -> None:
    assert Invitation.parse(ONE.text()) == ONE
    broken = ONE.text()
    assert Invitation.parse(f"  {broken[:40]}\n{broken[40:80]}\r\n {broken[80:]}\n") == ONE


def test_what_is_kept_or_logged_does_not_show_the_secret() -> None:
    assert ONE.secret not in hash_of(ONE.secret)
    assert ONE.secret.hex() not in repr(ONE)
    assert hash_of(ONE.secret) != hash_of(b"t" * 32)


def token(**fields: object) -> str:
    content = {"server": "h:1", "pin": "00" * 32, "party": "lachan://a/node/e1", "secret": "00" * 32} | fields
    return PREFIX + base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        ONE.text()[:-8],
        ONE.text()[8:],
        PREFIX,
        PREFIX + "é",
        PREFIX + "A" * 3000,
        PREFIX + base64.urlsafe_b64encode(b"[" * 1400).decode(),
        PREFIX + base64.urlsafe_b64encode(b"[]").decode(),
        token(party="lachan://a/king/e1"),
        token(pin="00"),
        token(secret="0g" * 32),
        token(secret=None),
    ],
)
def test_what_is_no_whole_token_is_told(text: str) -> None:
    with pytest.raises(InvitationError):
        Invitation.parse(text)
