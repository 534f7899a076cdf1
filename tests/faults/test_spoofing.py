"""Nobody who does not see the queries can answer them (RFC 5452): not by guessing, not by being first, not by chance.

An upstream lies as an attacker would who knows everything but one thing; then ids and ports are measured over many
queries. Run with `-s` to see the numbers.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import random
import select
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.blocklist import built, entry
from tests.support.edge import running
from tests.support.engine import policy, rig
from tests.support.load import address, ask_all, rcode
from tests.support.packets import question, read, records

TRUE, FORGED = "192.0.2.1", "192.0.2.66"
SOCKETS = 64
QUERIES = 24_000
UNLIMITED = {"enabled": False, "misses_per_client": 4096, "misses_per_domain": 4096}
ROOMY: dict[str, object] = {
    # Nothing is asked twice for being slow, nor for want of room in one row of the cache.
    "forwarding": {"sockets": SOCKETS, "first_try": "5s"},
    "cache": {"size": "64MB"},
    "rate_limit": UNLIMITED,
}
Source = tuple[str, int]
Answering = Callable[["Upstream", bytes, Source], None]


def answer(query: bytes, text: str) -> bytes:
    """An address for what a query asks; the query has an OPT record at its end."""
    record = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4" + socket.inet_aton(text)
    return query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:-11] + record


class Upstream(threading.Thread):
    """A name server whose every packet `answering` sends."""

    def __init__(self, answering: Answering) -> None:
        super().__init__(name="upstream", daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.seen: list[tuple[int, int]] = []
        """Id and port of every query of a client's, in their order."""
        self._answering = answering
        self._ending, self._ended = socket.socketpair()

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def run(self) -> None:
        while True:
            readable, _, _ = select.select([self.socket, self._ended], [], [])
            if self._ended in readable:
                return
            query, source = self.socket.recvfrom(4096)
            # An edge asks questions of its own as well, to see whether it is heard.
            if b"\x07example\0" in query.lower():
                self.seen.append((int.from_bytes(query[:2], "big"), source[1]))
            self._answering(self, query, source)

    def send(self, data: bytes, to: Source) -> None:
        # A socket that the edge has rotated away is closed: that is told here, and nobody's concern.
        with contextlib.suppress(ConnectionError):
            self.socket.sendto(data, to)


@contextlib.contextmanager
def upstream(answering: Answering) -> Iterator[Upstream]:
    one = Upstream(answering)
    one.start()
    try:
        yield one
    finally:
        one._ending.send(b"x")
        one.join(5)
        for sock in (one.socket, one.stranger, one._ending, one._ended):
            sock.close()


def believed(_: str, response: bytes) -> str:
    """What is wrong where anything but the truth came."""
    return "" if (rcode(response), address(response)) == (0, TRUE) else f"{rcode(response)} {address(response)}"


@pytest.fixture
def snapshot(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "rules.snapshot").write_bytes(built(entry("bad.example")))
    return {"snapshot": "rules.snapshot"}


class Liar:
    """Lies in every way it can, and says the truth last."""

    def __init__(self) -> None:
        self.lies = 0
        self._random = random.Random(7)
        self._earlier: list[tuple[bytes, Source]] = []

    def __call__(self, server: Upstream, query: bytes, source: Source) -> None:
        draw = self._random
        ident = int.from_bytes(query[:2], "big")
        forged = answer(query, FORGED)
        lies = [((ident ^ draw.randrange(1, 0x10000)).to_bytes(2, "big") + forged[2:], source) for _ in range(30)]
        # The right id by other sockets of the edge's: the ports are known here as no attacker knows them.
        ports = {port for _, port in server.seen[-200:]} - {source[1]}
        lies += [(forged, (source[0], port)) for port in itertools.islice(ports, 10)]
        # The right id and port, and another question: another name, type, class, none, or two.
        body = forged[12:]
        other = bytearray(body)
        other[1] ^= 3
        end = len(query) - 11 - 12
        lies += [
            (forged[:12] + bytes(other), source),
            (forged[:12] + body[: end - 4] + b"\0\x1c\0\1" + body[end:], source),
            (forged[:12] + body[: end - 4] + b"\0\1\0\3" + body[end:], source),
            (forged[:4] + b"\0\0" + forged[6:12] + body[end:], source),
            (forged[:4] + b"\0\2" + forged[6:12] + body[:end] + body, source),
            (forged[:2] + b"\x01\x00" + forged[4:], source),
            (forged[:2] + b"\xa1\x80" + forged[4:], source),
            (forged[:-1], source),
            (forged + b"\0", source),
            (query, source),
        ]
        # What was asked before, answered once more: late.
        lies += [(answer(old, FORGED), at) for old, at in self._earlier[-10:]]
        for data, to in lies:
            server.send(data, to)
        with contextlib.suppress(ConnectionError):
            server.stranger.sendto(forged, source)
        self.lies += len(lies) + 1
        server.send(answer(query, TRUE), source)
        self._earlier.append((query, source))


async def test_no_lie_is_believed(tmp_path: Path, snapshot: dict[str, str]) -> None:
    liar = Liar()
    with upstream(liar) as server:
        async with running(tmp_path, [server.port], blocklist=snapshot, **ROOMY) as edge:
            names = [f"n{number}.spoofed.example" for number in range(2000)]
            first = ask_all(edge.port, names, believed, window=16)
            asked = len(server.seen)
            again = ask_all(edge.port, names, believed, window=16)
    assert (first.lost, first.wrong, first.answered) == ([], [], len(names))
    assert (again.lost, again.wrong, again.answered) == ([], [], len(names))
    # No lie made the edge ask twice either, and what it kept is the truth.
    assert (asked, len(server.seen)) == (len(names), len(names))
    sys.stdout.write(f"{liar.lies} lies to {asked} queries: none believed\n")
    assert liar.lies > 50 * len(names)


def test_every_wrong_id_is_refused_and_the_right_one_taken() -> None:
    own = rig(policy(), sockets=1)
    assert own.ask(question("flooded.example")) is None
    asked, source = own.upstreams[0].receive()
    forged, right = answer(asked, FORGED)[2:], int.from_bytes(asked[:2], "big")
    for first in range(0, 0x10000, 64):
        for ident in range(first, first + 64):
            if ident != right:
                own.upstreams[0].send(ident.to_bytes(2, "big") + forged, source)
        for _ in range(64):
            # A call takes at least one datagram.
            own.engine.hear()
        assert own.engine.collect() == []
    assert own.engine.outstanding == 1
    own.upstreams[0].send(answer(asked, TRUE), source)
    assert records(read(own.wait(own.token))) == [f"flooded.example. 300 IN A {TRUE}"]


def chi_square(counts: Counter[int], bins: int) -> float:
    """How far counts are from even, in standard deviations of the chi-square distribution (normal for so many bins)."""
    expected = counts.total() / bins
    value = sum((counts[number] - expected) ** 2 / expected for number in range(bins))
    freedom = bins - 1
    return (value - freedom) / math.sqrt(2 * freedom)


def bits_at_least(counts: Counter[int]) -> float:
    """Min-entropy of a draw: what the commonest value leaves, at its upper bound of 99 % (NIST SP 800-90B 6.3.1)."""
    part = counts.most_common(1)[0][1] / counts.total()
    return -math.log2(min(1.0, part + 2.576 * math.sqrt(part * (1 - part) / (counts.total() - 1))))


async def test_ids_and_ports_cannot_be_foretold(tmp_path: Path, snapshot: dict[str, str]) -> None:
    def honest(server: Upstream, query: bytes, source: Source) -> None:
        server.send(answer(query, TRUE), source)

    with upstream(honest) as server:
        async with running(tmp_path, [server.port], blocklist=snapshot, **ROOMY) as edge:
            tally = ask_all(
                edge.port, (f"n{number}.measured.example" for number in range(QUERIES)), believed, window=48
            )
    assert (tally.lost, tally.wrong) == ([], [])
    ids, ports = zip(*server.seen, strict=True)
    assert len(ids) >= QUERIES
    steps = [(after - before) & 0xFFFF for before, after in itertools.pairwise(ids)]
    used = Counter(ports)
    found = {
        # Each of these is about 0 for a fair draw, and beyond 6 once in a thousand million.
        "high octet of ids": chi_square(Counter(ident >> 8 for ident in ids), 256),
        "low octet of ids": chi_square(Counter(ident & 0xFF for ident in ids), 256),
        "step from id to id": chi_square(Counter(step >> 8 for step in steps), 256),
        "low octet of steps": chi_square(Counter(step & 0xFF for step in steps), 256),
        "two ids' high octets xored": chi_square(
            Counter((before ^ after) >> 8 for before, after in itertools.pairwise(ids)), 256
        ),
    }
    least = {
        # Octets apart: 65,536 ids are too many to count by so few queries.
        "id": bits_at_least(Counter(ident >> 8 for ident in ids)) + bits_at_least(Counter(i & 0xFF for i in ids)),
        "port": bits_at_least(used),
    }
    distinct = len(set(ids))
    expected = 0x10000 * (1 - math.exp(-len(ids) / 0x10000))
    repeated = sum(before == after for before, after in itertools.pairwise(ports)) / (len(ports) - 1)
    sys.stdout.write(
        f"{len(ids)} queries: {distinct} ids ({expected:.0f} expected of a fair draw), {len(used)} ports, "
        f"the same port again {repeated:.4f} of the time (1/{SOCKETS} = {1 / SOCKETS:.4f}), "
        f"{math.log2(SOCKETS) + 16:.0f} bits to guess at any time, at least {least['id']:.2f} of the id's 16 and "
        f"{least['port']:.2f} of the port's over all queries; in standard deviations: "
        + ", ".join(f"{what} {value:+.2f}" for what, value in found.items())
        + "\n"
    )
    assert all(abs(value) < 6 for value in found.values()), found
    # An octet of 7 bits would have a value twice as common as it ought to be, 9 standard deviations away.
    assert least["id"] > 14
    assert least["port"] > math.log2(SOCKETS) - 1
    assert abs(distinct - expected) < 6 * math.sqrt(expected)
    # Every socket is used, those given up for fresh ones as well, and none follows another by rule.
    assert len(used) >= SOCKETS
    assert abs(repeated - 1 / SOCKETS) < 0.25 / SOCKETS + 6 * math.sqrt(1 / SOCKETS / len(ports))
    # Ports come from all over the range that they are drawn from, not from the kernel's.
    low, high = min(used), max(used)
    assert low < 1024 + 64_512 // 4
    assert high > 65_535 - 64_512 // 4
