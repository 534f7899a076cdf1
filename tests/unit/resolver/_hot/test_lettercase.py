"""Questions in random case: which letters, to whom, and what an answer in another case is worth."""

from __future__ import annotations

from tests.support.engine import Rig, rig
from tests.support.packets import question, read, records, reply

NAME = "www.ok.example"
LINE = f"{NAME}. 300 IN A 192.0.2.1"


def begin(own: Rig, query: bytes = question(NAME)) -> int:
    """Asks what has to be forwarded; the token of who waits."""
    assert own.ask(query) is None
    return own.token


def names(count: int, first: int = 0) -> list[str]:
    return [f"n{number}.ok.example" for number in range(first, first + count)]


def flips(packet: bytes) -> int:
    """Which letters of www.ok.example went as capitals, a bit each."""
    return sum((octet < 0x60) << place for place, octet in enumerate(packet[13:16] + packet[17:19] + packet[20:27]))


def good(own: Rig, count: int, first: int = 0) -> None:
    """So many questions, answered as they were asked."""
    for name in names(count, first):
        own.exchange(question(name), lambda asked, name=name: reply(asked, f"{name}. 5 IN A 192.0.2.1"))  # type: ignore[misc]


def test_questions_go_in_random_case_to_an_upstream_that_keeps_it() -> None:
    own = rig(mixed_case=True)
    seen = set()
    for qtype in range(1000, 1064):
        assert own.ask(question(NAME.upper(), f"TYPE{qtype}")) is None
        packet, source = own.upstreams[0].receive()
        assert packet[12:28].lower() == b"\3www\2ok\7example\0"
        seen.add(flips(packet))
        own.upstreams[0].send(reply(packet, rcode="NXDOMAIN"), source)
        answer = read(own.wait(own.token))
        # Who asked sees the case they used.
        assert str(answer.question[0].name) == f"{NAME.upper()}."
    # Of 4096 patterns, 64 draws: below 60 different ones in one of 10^6 runs.
    assert len(seen) >= 60
    assert own.forwarder.health()[0]["mixed_case"]


def test_long_names_and_odd_octets_keep_what_they_are() -> None:
    own = rig(mixed_case=True)
    label = bytes(range(0x40, 0x7F))
    for labels in ([label, label, label, label[:61]], [b"\xc1\xe1[`{@z"], [bytes(range(0xC0, 0xFF))]):
        name = b"".join(bytes([len(one)]) + one for one in labels) + b"\0"
        assert own.ask(b"\0\7\1\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1") is None
        packet, source = own.upstreams[0].receive()
        assert packet[12 : 12 + len(name)].lower() == name.lower()
        own.upstreams[0].send(packet[:2] + b"\x81\x83" + packet[4:10] + b"\0\0" + packet[12:-11], source)
        assert own.wait(own.token)[12:] == name + b"\0\1\0\1"


def test_an_upstream_that_does_not_keep_case_is_asked_again_without() -> None:
    own = rig(mixed_case=True)
    token = begin(own)
    while True:
        asked, source = own.upstreams[0].receive()
        if flips(asked):
            break
        # One in 4096 has no capital.
        own.upstreams[0].send(reply(asked, LINE), source)
        token = begin(own, question(NAME, "AAAA"))
    own.upstreams[0].send(reply(asked[:12] + asked[12:28].lower() + asked[28:], LINE.replace(".1", ".66")), source)
    again, source = own.upstreams[0].receive_while(own.turn)
    assert flips(again) == 0
    assert own.told == {}
    own.upstreams[0].send(reply(again, LINE), source)
    assert records(read(own.wait(token))) == [LINE]
    assert not own.forwarder.health()[0]["mixed_case"]
    begin(own, question(NAME, "TXT"))
    assert flips(own.upstreams[0].receive()[0]) == 0


def test_a_wrong_case_from_an_upstream_that_kept_it_is_a_forgery() -> None:
    own = rig(mixed_case=True)
    good(own, 8)
    token = begin(own)
    asked, source = own.upstreams[0].receive()
    other = bytes(octet ^ 0x20 if chr(octet).isalpha() else octet for octet in asked[13:16])
    own.upstreams[0].send(reply(asked[:13] + other + asked[16:], LINE.replace(".1", ".66")), source)
    own.turn()
    assert own.told == {}
    assert own.upstreams[0].waiting() == []
    own.upstreams[0].send(reply(asked, LINE), source)
    assert records(read(own.wait(token))) == [LINE]
    assert own.forwarder.health()[0]["mixed_case"]
