"""Questions of our own that come back to us, and whose they are."""

from __future__ import annotations

import dns.flags
import dns.rcode
import pytest

from resolver._hot.loops import Loops
from tests.support.engine import UDP, Rig, rig
from tests.support.packets import question, read, records, reply

NAME = "www.ok.example"
LINE = f"{NAME}. 300 IN A 192.0.2.1"


def edges() -> tuple[Rig, Rig]:
    """A worker with two upstreams, and a sibling on the same machine."""
    loops = Loops(bytes(range(16)))
    return rig(upstreams=2, loops=loops, mixed_case=True), rig(upstreams=1, loops=loops)


def checked(own: Rig) -> tuple[bytes, tuple[str, int]]:
    """The question that goes to the first upstream; the second says that there is no such name."""
    own.engine.check_loops(True)
    packet, source = own.upstreams[1].receive()
    own.upstreams[1].send(reply(packet, rcode="NXDOMAIN"), source)
    return own.upstreams[0].receive()


@pytest.mark.parametrize("transport", [UDP, 2, 3], ids=["udp", "tcp", "dot"])
def test_an_upstream_that_leads_back_is_not_asked_until_it_does_not(transport: int) -> None:
    own, sibling = edges()
    packet, source = checked(own)
    assert str(read(packet).question[0].name).lower().startswith("lachan-loop-check.")
    back = sibling.ask(packet, transport=transport)
    assert back
    assert sibling.upstreams[0].waiting() == []
    own.upstreams[0].send(packet[:2] + back[2:], source)
    own.until(lambda: own.forwarder.health()[0]["looped"])
    assert not own.forwarder.health()[1]["looped"]
    answer = own.exchange(question(NAME), lambda asked: reply(asked, LINE), upstream=1)
    assert records(read(answer)) == [LINE]
    # Not even when the other one fails.
    assert own.ask(question("b.ok.example")) is None
    packet, source = own.upstreams[1].receive()
    own.upstreams[1].send(reply(packet, rcode="SERVFAIL"), source)
    assert read(own.wait(own.token)).rcode() == dns.rcode.SERVFAIL
    assert own.upstreams[0].waiting() == []
    # Asked again alone, and by another name.
    own.engine.check_loops(False)
    again, source = own.upstreams[0].receive()
    assert own.upstreams[1].waiting() == []
    assert again[12:64].lower() != packet[12:64].lower()
    own.upstreams[0].send(reply(again, rcode="NXDOMAIN"), source)
    own.until(lambda: not own.forwarder.health()[0]["looped"])
    own.exchange(question("c.ok.example"), lambda asked: reply(asked, "c.ok.example. 5 IN A 192.0.2.1"))
    assert own.told == {}


def test_another_machines_question_goes_on_to_upstreams() -> None:
    own, _ = edges()
    packet, _ = checked(own)
    stranger = rig(upstreams=1, loops=Loops(bytes(16)))
    assert stranger.ask(packet) is None
    assert stranger.upstreams[0].receive()[0][12:64].lower() == packet[12:64].lower()


def test_no_answer_but_our_own_counts() -> None:
    own, sibling = edges()
    packet, source = checked(own)
    name = str(read(packet).question[0].name)
    # What we would say to another of our names, and what a liar would say.
    own.engine.check_loops(True)
    other, later = own.upstreams[0].receive()
    answer = read(sibling.ask(other))
    [text] = [str(item) for item in answer.answer[0]]
    own.upstreams[0].send(reply(packet, f"{name} 0 IN TXT {text}"), source)
    own.upstreams[0].send(reply(other, f"{other_name(other)} 0 IN TXT {'a' * 16}"), later)
    own.turn()
    own.turn()
    assert not own.forwarder.health()[0]["looped"]


def other_name(packet: bytes) -> str:
    return str(read(packet).question[0].name)


@pytest.mark.parametrize("letter", [b"q", b"A", b"\xe1", b"0"])
def test_a_name_that_is_not_ours_is_a_name_like_others(letter: bytes) -> None:
    own, sibling = edges()
    packet, _ = checked(own)
    query = packet[:12] + packet[12:64].lower() + packet[64:]
    for place in (31, 40, 60):
        forged = query[:place] + letter + query[place + 1 :]
        # Of the question alone: an id may look like a capital letter.
        if forged[12:].lower() != query[12:]:
            assert sibling.ask(forged) is None
    assert sibling.ask(query[:-15] + b"\0\1" + query[-13:]) is None
    answer = read(sibling.ask(query))
    assert answer.flags & dns.flags.QR
    assert answer.answer[0].ttl == 0


def test_a_key_has_sixteen_octets() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Loops(b"short")
