"""What is made of an upstream's answer: sizes, negative answers, times, DNSSEC's flags, and what is kept."""

from __future__ import annotations

import dataclasses
import itertools
import time
from concurrent.futures import ThreadPoolExecutor

from tests.conformance.case import Case, Want
from tests.conformance.packet import ECS, opt, option, query, read
from tests.conformance.place import Place
from tests.conformance.transports import SECONDS, Tcp, Transport, Udp
from tests.conformance.upstream import name_at

DO = opt(flags=0x8000)


def sized(ident: str, title: str, size: int, room: int | None, *, fits: bool) -> Case:
    """An answer of exactly `size` octets, to a client whose datagrams take `room`."""
    whole = Want(answers=1, edns=room is not None, size=(size - 11 * (room is None),) * 2)
    cut = Want(flags="qr ra rd tc", answers=0, edns=room is not None, size=(12, room or 512))
    return Case(
        ident, "RFC 9715 3.1", title, whole,
        query(f"size-{size}.%T.ok.example", "TXT", edns=None if room is None else opt(room)),
        datagram=whole if fits else cut,
    )  # fmt: skip


def asked_once(at: Place, transport: Transport, kind: str, times: int = 1, errors: tuple[int, ...] = ()) -> None:
    """Two queries for a name lead to so many at the upstream; the second answer has these extended errors."""
    name = f"{kind}-{transport.letters}.kept.ok.example"
    first, second = (transport.ask(query(name), "127.0.0.1") for _ in range(2))
    assert first is not None
    assert second is not None
    seen = [read(first), read(second)]
    assert (seen[0].ede, seen[1].ede) == ((), errors)
    assert dataclasses.replace(seen[0], ede=errors).verdict() == seen[1].verdict()
    found = len(at.upstream.queries(name))
    assert found == times, f"the upstream was asked {found} times"
    for before, after in zip(seen[0].answer + seen[0].authority, seen[1].answer + seen[1].authority, strict=True):
        assert after.ttl <= before.ttl


def kept(at: Place, transport: Transport) -> None:
    """An answer is kept, whatever the letters of the question."""
    asked_once(at, transport, "alias")
    name = f"ALIAS-{transport.letters}.Kept.ok.example"
    answer = transport.ask(query(name), "127.0.0.1")
    assert answer is not None
    assert read(answer).question == (f"{name}. IN A",)
    assert len(at.upstream.queries(name)) == 1


def poison(at: Place, transport: Transport) -> None:
    """A name beside the question's is not believed."""
    own = transport.letters
    assert transport.ask(query(f"poison-1.{own}.ok.example"), "127.0.0.1")
    answer = transport.ask(query(f"victim.{own}.ok.example"), "127.0.0.1")
    assert answer is not None
    assert len(at.upstream.queries(f"victim.{own}.ok.example")) == 1
    assert "192.0.2.66" not in str(read(answer).answer)


def forwarded(at: Place, transport: Transport) -> None:
    """Nothing about the client goes on: no subnet, no cookie, no id, no letters; RD and DO do."""
    name = f"subnet-{transport.letters}.ok.example"
    options = option(ECS, b"\0\1\x18\0\xc6\x33\x64") + option(10, bytes(range(8))) + option(100, b"private")
    answer = transport.ask(query(name, edns=opt(1400, flags=0x8000, options=options)), "127.0.0.1")
    assert answer is not None
    assert ECS not in read(answer).options
    [sent] = at.upstream.queries(name)
    seen = read(sent)
    assert (seen.options, seen.do, seen.udp, seen.version) == ({}, True, 1232, 0)
    assert seen.flags == {"rd", "ad"}
    assert name_at(sent)[0] == name.split(".")


def kept_apart(at: Place, transport: Transport) -> None:
    """DO and CD lead to answers of their own (RFC 4035 4.7)."""
    name = f"alias-{transport.letters}.bits.ok.example"
    for flags, edns in (("rd", opt()), ("rd", DO), ("rd cd", opt()), ("rd cd", DO)):
        for _ in range(2):
            assert transport.ask(query(name, flags=flags, edns=edns), "127.0.0.1")
    asked = [read(packet) for packet in at.upstream.queries(name)]
    assert [(one.do, "cd" in one.flags) for one in asked] == [
        (False, False),
        (True, False),
        (False, True),
        (True, True),
    ]


def joined(at: Place, transport: Transport) -> None:
    """Two who ask the same at once wait for one query."""
    held, release = f"held-join{transport.letters}.ok.example", f"release-join{transport.letters}.ok.example"
    packets = [query(held, ident=1), query(held, ident=2), query(release, ident=3)]
    if isinstance(transport, Udp):
        with transport.socket() as sock:
            for packet in packets:
                sock.send(packet)
            answers = [sock.recv(4096) for _ in packets]
    elif isinstance(transport, Tcp):
        with transport.stream() as stream:
            stream.send(*packets)
            answers = [stream.receive() or b"" for _ in packets]
    else:
        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(transport.ask, packet, "127.0.0.1") for packet in packets[:2]]
            deadline = time.monotonic() + SECONDS
            while not at.upstream.queries(held):
                assert time.monotonic() < deadline, "the upstream was not asked"
            last = transport.ask(packets[2], "127.0.0.1")
            answers = [one or b"" for one in (*(one.result() for one in waiting), last)]
    assert sorted(read(answer).ident for answer in answers) == [1, 2, 3]
    assert len(at.upstream.queries(held)) == 1


def stale(at: Place, transport: Transport) -> None:
    """An answer outlives its time where nobody knows a newer one, and says so."""
    name = f"once-{transport.letters}.ok.example"
    fresh = transport.ask(query(name), "127.0.0.1")
    assert fresh is not None
    assert read(fresh).ede == ()
    deadline = time.monotonic() + SECONDS
    while True:
        answer = transport.ask(query(name), "127.0.0.1")
        assert answer is not None
        seen = read(answer)
        assert (seen.rcode, len(seen.answer)) == ("NOERROR", 1)
        if seen.ede:
            break
        assert time.monotonic() < deadline, "it never expires"
        time.sleep(0.05)
    assert seen.ede == (3,)
    assert 0 < seen.answer[0].ttl <= 30
    assert len(at.upstream.queries(name)) > 1


def letters(at: Place, transport: Transport) -> None:
    """Questions go out in letters that nobody can foretell, and come back in the client's own."""
    deadline = time.monotonic() + SECONDS
    for number in itertools.count():
        name = f"nobody-can-foretell-{number}-{transport.letters}.ok.example"
        answer = transport.ask(query(name), "127.0.0.1")
        assert answer is not None
        assert read(answer).question == (f"{name}. IN A",)
        [sent, *_] = at.upstream.queries(name)
        if sent[12:] != sent[12:].lower():
            return
        # It has to be known first that the upstream keeps them.
        assert time.monotonic() < deadline, "every question goes out in small letters"
        time.sleep(0.05)


CASES = (
    sized("9715-1232", "1232 octets fit a datagram", 1232, 4096, fits=True),
    sized("9715-1233", "1233 never do", 1233, 4096, fits=False),
    sized("9715-65535", "whatever the client says it takes", 2000, 65535, fits=False),
    sized("9715-client", "less where the client takes less", 1001, 1000, fits=False),
    sized("9715-client-fits", "as much as it takes", 1000, 1000, fits=True),
    sized("9715-512", "512 without EDNS", 523, None, fits=True),
    sized("9715-513", "and no more", 524, None, fits=False),
    sized("9715-least", "512 where it says less", 512, 100, fits=True),
    sized("7766-64k", "a stream carries what no datagram does", 60000, 1232, fits=False),
    Case(
        "2308-nxdomain", "RFC 2308 2.1", "a name that does not exist, with its zone's SOA",
        Want("NXDOMAIN", answers=0, soa="ok.example.", ttl_most=300, edns=True), query("gone-%T.ok.example"),
    ),
    Case(
        "2308-nodata", "RFC 2308 2.2", "a name without this type", Want(answers=0, soa="ok.example.", edns=True), query("nodata-%T.ok.example"),
    ),
    Case("2308-5", "RFC 2308 5", "a denial is kept", probe=lambda at, t: asked_once(at, t, "gone")),
    Case("2308-5-nodata", "RFC 2308 5", "NODATA too", probe=lambda at, t: asked_once(at, t, "nodata")),
    Case("2308-5-soa", "RFC 2308 5", "but not without an SOA", probe=lambda at, t: asked_once(at, t, "soaless", 2)),
    Case("9520-3.2", "RFC 9520 3.2, 8914 4.14", "a failure is kept for seconds, and says so", probe=lambda at, t: asked_once(at, t, "fail", errors=(13,))),
    Case("9520-refused", "RFC 9520 3", "an upstream that refuses is told as it is", Want("REFUSED", answers=0, edns=True, ede=None), query("refusing-%T.ok.example")),
    Case("1035-kept", "RFC 1034 3.6.1", "an answer is kept, whatever the letters", probe=kept),
    Case("8767-4", "RFC 8767 4", "a TTL beyond 2^31 is long, and capped", Want(answers=1, ttl_most=604800, edns=True), query("ttl-%T.ok.example")),
    Case("1035-ttl0", "RFC 1035 3.2.1", "a TTL of 0 is kept by nobody", probe=lambda at, t: asked_once(at, t, "zero", 2)),
    Case(
        "6604-3", "RFC 6604 3", "an alias of nobody: the code is the last name's", Want("NXDOMAIN", answers=1, holds=("CNAME nobody",), soa="ok.example.", edns=True), query("lost-%T.ok.example"),
    ),
    Case("8767-5", "RFC 8767 5", "what expired is told where nobody knows better", probe=stale),
    Case("5452-9.3", "RFC 5452 9.3", "letters that nobody can foretell", probe=letters),
    Case("2181-5.4.1", "RFC 2181 5.4.1", "what was not asked is not believed", probe=poison),
    Case("7871-11.1", "RFC 7871 11.1", "nothing about the client goes on", probe=forwarded),
    Case("4035-4.7", "RFC 4035 4.7", "DO and CD are kept apart", probe=kept_apart),
    Case("5452-5", "RFC 5452 5", "the same query twice goes out once", probe=joined),
    Case("6840-5.8-none", "RFC 6840 5.8", "AD is withheld from who did not ask", Want(answers=1, edns=True), query("secure-%T.ok.example")),
    Case("6840-5.8-ad", "RFC 6840 5.7", "passed on to who set AD", Want(flags="qr ra rd ad", answers=1, edns=True), query("secure-%T.ok.example", flags="rd ad")),
    Case("6840-5.8-do", "RFC 6840 5.8", "or DO", Want(flags="qr ra rd ad", answers=1, edns=True, do=True), query("secure-%T.ok.example", edns=DO)),
    Case("6840-5.8-no-opt", "RFC 6840 5.7", "also without EDNS", Want(flags="qr ra rd ad", answers=1, edns=False), query("secure-%T.ok.example", flags="rd ad", edns=None)),
    Case("1034-aa", "RFC 1034 6.2.7", "AA is the upstream's, never ours", Want(answers=1, edns=True), query("authoritative-%T.ok.example")),
    Case("7871-answer", "RFC 7871 7.2.2", "options of the upstream's stay behind", Want(answers=1, edns=True, options=()), query("subnet-%T.x.ok.example")),
)  # fmt: skip
