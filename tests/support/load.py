"""A client that keeps an edge busy and holds it to every query: none unanswered, none answered wrongly.

Holds always: a query is sent once, so that a lost one shows; each has a deadline; what comes back is matched by id and
question and judged by who asked.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Self

HEADER = b"\x01\x00\0\1\0\0\0\0\0\0"
DEADLINE_SECONDS = 15.0
WINDOW = 32

Judge = Callable[[str, bytes], str]
"""From the name asked and the answer to what is wrong with it; empty where nothing is."""


def packet(ident: int, name: str, rdtype: int = 1) -> bytes:
    """A query without EDNS."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return ident.to_bytes(2, "big") + HEADER + labels + b"\0" + rdtype.to_bytes(2, "big") + b"\0\1"


def rcode(answer: bytes) -> int:
    """The response code."""
    return answer[3] & 15


def address(answer: bytes) -> str:
    """The last four octets of the answer's last record, where it is an address and nothing follows."""
    return socket.inet_ntoa(answer[-4:]) if answer[6:8] != b"\0\0" else ""


@dataclass
class Tally:
    """What came of a load."""

    answered: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """That each answer took."""

    def percentile(self, part: float) -> float:
        """The time, in seconds, that this part of all answers stayed below."""
        times = sorted(self.seconds)
        return times[min(len(times) - 1, int(part * len(times)))] if times else 0.0


def ask_all(
    port: int,
    names: Iterable[str],
    judge: Judge,
    window: int = WINDOW,
    deadline: float = DEADLINE_SECONDS,
    source: str = "127.0.0.1",
) -> Tally:
    """Asks each name once, so many at a time, from an address of this machine."""
    tally = Tally()
    for _ in _asking(port, iter(names), judge, window, deadline, tally, source):
        pass
    return tally


def _asking(
    port: int,
    names: Iterator[str],
    judge: Judge,
    window: int,
    deadline: float,
    tally: Tally,
    source: str,
) -> Iterator[None]:
    """A turn at a time: sends what the window has room for, takes what is there."""
    waiting: dict[int, tuple[bytes, str, float]] = {}
    ident = 0
    more = True
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((source, 0))
        sock.connect(("127.0.0.1", port))
        sock.setblocking(False)
        while more or waiting:
            while more and len(waiting) < window:
                name = next(names, None)
                if name is None:
                    more = False
                    break
                ident = (ident + 1) & 0xFFFF
                query = packet(ident, name)
                waiting[ident] = (query[12:], name, time.monotonic())
                sock.send(query)
            if waiting:
                select.select([sock], [], [], 0.05)
            _take(sock, waiting, judge, tally)
            now = time.monotonic()
            for late in [key for key, (_, _, at) in waiting.items() if now - at > deadline]:
                tally.lost.append(waiting.pop(late)[1])
            yield


def _take(sock: socket.socket, waiting: dict[int, tuple[bytes, str, float]], judge: Judge, tally: Tally) -> None:
    while True:
        try:
            answer = sock.recv(4096)
        except BlockingIOError:
            return
        except ConnectionError:
            continue
        question, name, at = waiting.pop(int.from_bytes(answer[:2], "big"), (b"", "", 0.0))
        if not question or answer[12 : 12 + len(question)] != question:
            tally.wrong.append(f"an answer to nothing asked: {answer[:60].hex()}")
            continue
        tally.answered += 1
        tally.seconds.append(time.monotonic() - at)
        if problem := judge(name, answer):
            tally.wrong.append(f"{name}: {problem}")


class Load(threading.Thread):
    """Asks until told to stop, in a thread of its own."""

    def __init__(
        self,
        port: int,
        names: Iterator[str],
        judge: Judge,
        window: int = 8,
        deadline: float = DEADLINE_SECONDS,
        source: str = "127.0.0.1",
    ) -> None:
        super().__init__(name="load", daemon=True)
        self.tally = Tally()
        self._parts = (port, names, judge, window, deadline, source)
        self._ending = threading.Event()

    def run(self) -> None:
        """As a thread does."""
        port, names, judge, window, deadline, source = self._parts
        going = iter(lambda: None if self._ending.is_set() else next(names), None)
        for _ in _asking(port, going, judge, window, deadline, self.tally, source):
            pass

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> Tally:
        """Asks no more, waits for what is on its way, and tells."""
        self._ending.set()
        self.join(DEADLINE_SECONDS + 5)
        assert not self.is_alive(), "the load did not come to its end"
        return self.tally
