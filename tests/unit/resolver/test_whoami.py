"""Questions for a nonce, and the signed answers to them."""

from __future__ import annotations

import dns.flags
import dns.rcode
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lachan.signing import SigningKey
from lachan.whoami import Whoami
from resolver.whoami import Answerer, answer
from tests.support.packets import question, read

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
ZONE = "whoami.dns.operator.example"
NODE = "operator-a/hcm-1"


def ask(query: bytes) -> bytes | None:
    return answer(query, ZONE, NODE, KEY, 1_700_000_000.9)


def test_the_node_says_who_it_is() -> None:
    message = read(ask(question("4f9a1c2e7B.WHOAMI.dns.operator.example", "TXT", id=77)))
    assert message.id == 77
    assert message.flags & dns.flags.AA
    [rrset] = message.answer
    assert rrset.ttl == 0
    assert str(rrset.name) == "4f9a1c2e7B.WHOAMI.dns.operator.example."
    told = Whoami.parse("4f9a1c2e7b", list(rrset[0].strings))
    assert (told.node, told.time) == (NODE, 1_700_000_000)
    told.verify(KEY.public)


@pytest.mark.parametrize(
    "query",
    [
        question(f"4f9a1c2e7b.{ZONE}", "A"),
        question(f"4f9a1c2e7b.{ZONE}", "TXT", rdclass="CH"),
        question(f"short.{ZONE}", "TXT"),
        question(f"with-hyphen.{ZONE}", "TXT"),
        question(f"x.4f9a1c2e7b.{ZONE}", "TXT"),
        question(ZONE, "TXT"),
        question(".", "TXT"),
        question("4f9a1c2e7b.whoami.other.example", "TXT"),
        b"",
        b"x" * 50,
    ],
)
def test_nothing_else_is_signed(query: bytes) -> None:
    assert ask(query) is None


def test_it_fits_what_the_client_takes() -> None:
    query = question(f"4f9a1c2e7b.{ZONE}", "TXT", edns=False)
    whole = answer(query, ZONE, NODE, KEY, 0)
    assert whole is not None
    assert len(whole) < 512
    cut = answer(query, ZONE, NODE, KEY, 0, 100)
    assert cut is not None
    assert read(cut).flags & dns.flags.TC


def test_so_many_signatures_a_second_and_no_more() -> None:
    answerer = Answerer(NODE, KEY, per_second=3)
    query = question(f"4f9a1c2e7b.{ZONE}", "TXT")
    rcodes = [
        dns.rcode.to_text(read(answerer.answer(query, ZONE, now)).rcode()) for now in (5.0, 5.1, 5.2, 5.3, 5.9, 6.0)
    ]
    assert rcodes == ["NOERROR", "NOERROR", "NOERROR", "REFUSED", "REFUSED", "NOERROR"]
