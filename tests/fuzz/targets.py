"""Targets in Python: whole parts of the edge, driven by bytes that say what happens to them.

Holds always: a target keeps its parts from one input to the next, as a worker does; whatever the bytes say, no
exception but the documented one comes out, and every query that was taken is answered once.
"""

from __future__ import annotations

import contextlib
import functools
import socket
from collections.abc import Callable

from blocklist_sync.artifact import delta, records, snapshot
from blocklist_sync.artifact.categories import Action, Category
from blocklist_sync.artifact.errors import ArtifactError, FingerprintCollisionError
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.rules import Scope
from lachan.message import MessageError, encode, parse
from lachan.reply import Reply, respond, txt_record
from lachan.signing import SigningKey
from resolver import whoami
from resolver._hot.cookies import Cookies
from resolver._hot.locals import Locals
from resolver._hot.policy import Policy
from resolver.designated import Endpoint
from resolver.listeners.doh import Moment, Resource
from resolver.listeners.hello import server_name
from resolver.listeners.http1 import Http1
from resolver.listeners.http2 import Http2
from resolver.local import LocalSettings, compile_locals
from tests.support.blocklist import KEY as FINGERPRINT
from tests.support.blocklist import MANDATE, OFFER, entry, release
from tests.support.engine import CLIENT, KEY, PROFILES, SCHOOL, STRANGER, Rig, open_guard, policy, rig
from tests.support.framing import framed

ENTRIES = (
    entry("bad.example"),
    entry("worse.example", Category.CSAM),
    entry("offered.example", order=OFFER),
    entry("holed.example", Category.VIOLENCE),
    entry("fine.holed.example", Category.VIOLENCE, exception=True),
    entry("exact.example", Category.DRUGS, scope=Scope.EXACT),
    entry("sink.example", Category.SCAM),
    entry("refused.example", Category.SELF_HARM),
)
ACTIONS = {Category.SCAM: Action.SINKHOLE, Category.SELF_HARM: Action.REFUSED, Category.DRUGS: Action.NULL_IP}
CLIENTS = (CLIENT, SCHOOL, STRANGER, bytes(16))


def wire(name: str) -> bytes:
    """A name in wire form."""
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


NAMES = [
    wire(name)
    for name in (
        "www.ok.example", "ok.example", "hop.ok.example", "other.test", "www.bad.example", "bad.example",
        "x.offered.example", "holed.example", "fine.holed.example", "exact.example", "below.exact.example",
        "a.sink.example", "refused.example", "", "localhost",
        # 255 octets.
        ".".join(["a" * 63] * 3 + ["b" * 49, "bad.example"]),
    )
]  # fmt: skip


def rules(epoch: int = 1) -> Policy:
    """The tables for the list of all targets."""
    return policy(*ENTRIES, epoch=epoch, actions=ACTIONS)


SIGNS = SigningKey.generate()
SECRETS = Cookies((KEY, bytes(16)))
LOCAL = LocalSettings.model_validate({
    "name": "resolver.example", "addresses": ["192.0.2.53", "2001:db8::53"], "zones": ["inside.example"],
    "forwarded": ["out.inside.example"], "chaos": {"version": "1"},
    "records": [
        {"name": "host.inside.example", "type": "A", "value": "192.0.2.10"},
        {"name": "alias.example", "type": "CNAME", "value": "host.inside.example"},
        {"name": "away.example", "type": "CNAME", "value": "elsewhere.test"},
        {"name": "long.example", "type": "TXT", "value": "x" * 700},
        {"name": "taught.example", "type": "A", "value": "192.0.2.11", "profiles": ["school"]},
    ],
})  # fmt: skip


def own_names() -> Locals:
    """The names that an edge answers itself, for two profiles."""
    endpoints = (Endpoint("dot", 853), Endpoint("doh", 443, "/dns-query"))
    return compile_locals(LOCAL, ("default", "school"), endpoints)


class Engine:
    """A worker's engine with sockets on both sides; an input is a script for clients, upstreams and the clock."""

    def __init__(self, *, guarded: bool = False) -> None:
        guard = open_guard(cookies=SECRETS, per_second=200, burst=8, slip=2, misses=(6, 4)) if guarded else None
        self._rig = rig(
            rules(),
            upstreams=2,
            sockets=4,
            timeout_ms=2,
            stream_ms=2,
            cache_bytes=1 << 20,
            guard=guard,
            here=own_names(),
        )
        self._listening, self._client = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for sock in (self._listening, self._client):
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        self._client.connect(self._listening.getsockname())
        self._waiting: set[int] = set()
        self._tickets: list[tuple[int, int, bytes, int]] = []
        self._asked: list[tuple[int, bytes]] = []
        self._policies = [rules(2), rules(3), policy(epoch=4), policy(*ENTRIES, epoch=5, shadow=True)]

    def __call__(self, data: bytes) -> None:
        """Runs a script: an operation's octet, a length, its bytes; and so on."""
        at = 0
        while at + 2 <= len(data):
            operation, size = data[at], data[at + 1]
            self._step(operation, data[at + 2 : at + 2 + size])
            at += 2 + size
        self._rig.turn(0)
        self._collect()
        while self._asked:
            self._reply(False)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while self._client.recv(65535):
                pass

    def _step(self, operation: int, body: bytes) -> None:
        own = self._rig
        match operation & 7:
            case 0:
                answer = own.ask(body, client=CLIENTS[operation >> 3 & 3], transport=2 + (operation >> 5) % 4)
                if answer is None:
                    self._waiting.add(own.token)
            case 1:
                # Whole messages, and what their own bytes say is one.
                stream = framed(body, body) + body
                before, client = own.token, CLIENTS[operation >> 3 & 3]
                own.ask_framed(stream, client=client, transport=2 + (operation >> 5) % 4)
                self._waiting.update(range(before + 1, own.token + 1))
            case 2:
                with contextlib.suppress(OSError):
                    self._client.send(body)
                own.engine.drain(self._listening.fileno(), False)
            case 3 | 4:
                self._answer(operation, body)
            case 5:
                if self._asked:
                    self._reply(bool(operation & 64))
                elif self._tickets:
                    ticket, _, question, _ = self._tickets.pop()
                    own.engine.deliver(ticket, self._respond(operation, question, body) if operation & 64 else None)
            case 6:
                own.engine.use(self._policies[operation >> 3 & 3])
            case _:
                own.engine.tick()
        self._collect()

    def _reply(self, answers: bool) -> None:
        ticket, query = self._asked.pop()
        said = Reply(answers=(txt_record("whoami.example", 0, b"node"),), aa=True)
        self._rig.engine.reply(ticket, query, respond(query, said, 65535) if answers else None)
        self._collect()

    def _answer(self, operation: int, body: bytes) -> None:
        own = self._rig
        for upstream in own.upstreams:
            for query, source in upstream.waiting()[: 1 + (operation >> 5 & 1)]:
                upstream.send(self._respond(operation, query, body), source)
        own.engine.hear()

    @staticmethod
    def _respond(operation: int, query: bytes, body: bytes) -> bytes:
        """The bytes themselves, or behind a right id, flags and question."""
        if operation & 8:
            return body or b"\0"
        end = 12
        while end < len(query) and query[end]:
            end += query[end] + 1
        flags = b"\x83\x80" if operation & 16 else b"\x81" + (body[:1] or b"\x80")
        return query[:2] + flags + b"\0\1" + body[1:7].ljust(6, b"\0") + query[12 : end + 5] + body[7:]

    def _collect(self) -> None:
        engine = self._rig.engine
        for token, answer in (*self._rig.told.items(), *engine.collect()):
            assert token in self._waiting, "nobody waits for this answer"
            self._waiting.discard(token)
            assert not answer or (len(answer) >= 12 and answer[2] & 0x80), "an answer is one"
        self._rig.told.clear()
        self._tickets += engine.collect_streamed()
        del self._tickets[:-16]
        self._asked += engine.collect_asked()
        if not engine.outstanding and not self._asked:
            assert not self._waiting, "an answer was lost"


class Lists:
    """Releases and snapshots from anybody: refused, or safe to look up in."""

    def __init__(self) -> None:
        self._rig = rig(policy(), upstreams=0)
        self._epoch = 1
        listed = [entry(f"n{number}.example", order=(MANDATE, OFFER)[number % 2]) for number in range(12)]
        self._held = release(*listed)

    def release(self, data: bytes) -> None:
        """Records, and the snapshot that is built of them."""
        with contextlib.suppress(ArtifactError):
            self._look(bytes(snapshot.build(records.parse(data))))

    def snapshot(self, data: bytes) -> None:
        """A snapshot that no builder made."""
        self._look(data)

    def pack(self, data: bytes) -> None:
        """Lines of a list, whole ones or not."""
        encoder = records.Encoder(FINGERPRINT)
        kinds = [
            encoder.kind(scope, exception, category, Order("1/QĐ", mandated=True))
            for scope, exception, category in (
                (Scope.SUBTREE, False, Category.SCAM),
                (Scope.EXACT, False, Category.SCAM),
                (Scope.SUBTREE, True, Category.SCAM),
                (Scope.SUBTREE, True, Category.CSAM),
            )
        ]
        with contextlib.suppress(ArtifactError):
            encoder.add_lines(data, kinds)
        with contextlib.suppress(FingerprintCollisionError):
            assert records.parse(encoder.release(1)).serial == 1, "what is packed is a release"

    def delta(self, data: bytes) -> None:
        """A delta of a release that is held: its counts and sections; the rest of its header is right."""
        held = self._held
        serials = (1).to_bytes(8, "little") + (2).to_bytes(8, "little")
        head = delta.MAGIC + b"\1\0\0\0" + data[:1].ljust(1, b"\1") + bytes(3) + serials + held.digest + bytes(32)
        step = head + data[1:33].ljust(32, b"\0") + data[33:]
        with contextlib.suppress(ArtifactError):
            delta.apply(held, delta.parse(step))
            raise AssertionError("its digest is of nothing")

    def _look(self, data: bytes) -> None:
        try:
            view = snapshot.Snapshot(data)
        except ArtifactError:
            return
        with contextlib.suppress(ArtifactError):
            assert view.orders is not None
        for name in ("www.bad.example", "fine.holed.example", "a.b.c.d.test"):
            view.lookup(name)
        self._epoch += 1
        networks = [(bytes(16), 0, 0)]
        addresses = (bytes(4), bytes(16))
        self._rig.engine.use(Policy(self._epoch, view, list(PROFILES), {}, networks, addresses, False, True, KEY))
        for name in NAMES[:12]:
            answer = self._rig.ask(b"\0\1\1\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1")
            assert answer, "a query is answered"


def message(data: bytes) -> None:
    """A message from anybody, read and written again."""
    with contextlib.suppress(MessageError):
        parsed = parse(data)
        with contextlib.suppress(MessageError):
            again = parse(encode(parsed))
            assert again.questions == parsed.questions, "a message that is written again asks the same"


def _talk(connection: Http1 | Http2, data: bytes) -> None:
    """Feeds a connection in pieces of the size that the first octet says, and answers what it asks."""
    moment = Moment(1.0, b"Thu, 01 Jan 1970 00:00:00 GMT")
    step = 1 + (data[0] if data else 0) * 4
    for at in range(1, max(len(data), 2), step):
        connection.receive(data[at : at + step], moment)
        while (asked := connection.next(moment)) is not None:
            number, query = asked
            assert len(query.message) >= 12, "what is no message is refused"
            connection.answer(number, query.message[:2] + b"\x81\x82" + query.message[4:], moment)
        connection.take()
        assert connection.outstanding >= 0, "nobody is owed less than nothing"
    connection.receive(b"", moment)
    connection.retire(moment)
    connection.take()


RESOURCE = Resource({"/school": 1}, {"school.example": 1})


def http1(data: bytes) -> None:
    """A client of DNS over HTTP/1.1."""
    _talk(Http1(RESOURCE, None), data)


def who(data: bytes) -> None:
    """Who asks for a node's name."""
    said = whoami.answer(data, "whoami.resolver.example", "a/edge-1", SIGNS, 1.7e9)
    assert said is None or len(said) <= 1232, "an answer has its bounds"


def hello(data: bytes) -> None:
    """A client's first octets, as TLS has them."""
    name = server_name(data)
    assert name is None or (name.isascii() and name == name.lower() and len(name) < len(data)), "a name is one"


def http2(data: bytes) -> None:
    """A client of DNS over HTTP/2, its preface said."""
    _talk(Http2(RESOURCE, "school.example", 100), data[:1] + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + data[1:])


@functools.cache
def _engine() -> Engine:
    return Engine()


@functools.cache
def _lists() -> Lists:
    return Lists()


GUIDED: dict[str, Callable[[], Callable[[bytes], None]]] = {
    "engine": _engine,
    "guarded": lambda: Engine(guarded=True),
    "release": lambda: _lists().release,
    "snapshot": lambda: _lists().snapshot,
    "pack": lambda: _lists().pack,
    "delta": lambda: _lists().delta,
}
"""Targets over the compiled core, each made when it is needed."""

PURE: dict[str, Callable[[bytes], None]] = {
    "message": message, "http1": http1, "http2": http2, "hello": hello, "whoami": who,
}  # fmt: skip
"""Targets that atheris guides: nothing of them is compiled here."""

BENCHED = ("query", "response", "chain")
"""Targets that stand in fuzz_targets.pyx."""

OWN = ("name", "cookie", "local", "alias")
"""Those in fuzz_own.pyx."""

COMPILED = BENCHED + OWN

SIZES = {
    "query": 640, "response": 2048, "chain": 80, "name": 512, "cookie": 400, "local": 400, "alias": 2048,
    "engine": 1024, "guarded": 1024, "release": 1024, "snapshot": 2048, "pack": 1024, "delta": 512,
    "message": 2048, "http1": 2048, "http2": 2048,
    "hello": 1024, "whoami": 640,
}  # fmt: skip
"""Octets of the largest input."""


def bench() -> Rig:
    """What the compiled targets need."""
    return rig(rules(), upstreams=0)
