"""An engine made from plain Python, with upstreams of its own on loopback, and a view into what it keeps.

Nothing here sleeps: what takes time is waited for on the sockets that will tell it, up to a deadline.
"""

from __future__ import annotations

import functools
import ipaddress
import mmap
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from blocklist_sync.artifact.categories import Action, Category
from blocklist_sync.artifact.records import Entry
from blocklist_sync.artifact.snapshot import Snapshot
from lachan.labels import wire_name
from resolver._hot.cache import Cache
from resolver._hot.cookies import Cookies
from resolver._hot.counters import LAYOUT, Counters
from resolver._hot.engine import Engine
from resolver._hot.forward import Forwarder
from resolver._hot.guard import Guard
from resolver._hot.limits import BUCKET_BYTES, Limits, Outstanding
from resolver._hot.locals import Locals
from resolver._hot.loops import Loops
from resolver._hot.own import EXACT, SUBTREE
from resolver._hot.policy import Policy
from resolver._hot.registrable import Registrable
from resolver._hot.routes import Routes
from resolver._hot.tally import TALLY_LAYOUT, Tally
from resolver.limits import make_registrable
from tests.support.blocklist import built
from tests.support.framing import unframed

UDP, TCP = 1, 2
DEADLINE_SECONDS = 30.0
KEY = bytes(range(16))
SECRET = 0x0123456789ABCDEF

Network = tuple[str, int]
"""A network in text and the index of its profile; the first that covers a client decides."""


def mapped(address: str) -> bytes:
    """The 16 bytes of an address, IPv4 mapped."""
    ip = ipaddress.ip_address(address)
    return bytes(10) + b"\xff\xff" + ip.packed if ip.version == 4 else ip.packed


CLIENT = mapped("127.0.0.1")
SCHOOL = mapped("198.51.100.7")
STRANGER = mapped("203.0.113.9")
NETWORKS: tuple[Network, ...] = (("127.0.0.0/8", 0), ("::1/128", 0), ("198.51.100.0/24", 1))
PROFILES: tuple[tuple[str, list[int], bool], ...] = (
    ("default", [], False),
    ("school", [int(category) for category in Category], False),
)


def policy(
    *entries: Entry,
    epoch: int = 1,
    profiles: Sequence[tuple[str, list[int], bool]] = PROFILES,
    actions: Mapping[Category, Action] | None = None,
    networks: Sequence[Network] = NETWORKS,
    sinkhole: tuple[str, str] = ("192.0.2.80", "2001:db8::80"),
    shadow: bool = False,
    refuse: bool = True,
    serial: int = 1,
    listed: bool = True,
    profile_actions: Sequence[Mapping[Category, Action]] = (),
    ever: Sequence[Category] = (),
    names: Sequence[tuple[str, str, str] | tuple[str, str, str, Action]] = (),
    shielded: Sequence[bool] = (),
) -> Policy:
    """The tables for a list; without `listed` there never was one. `names` are name, kind, scope, perhaps action."""
    nets = []
    for text, profile in networks:
        net = ipaddress.ip_network(text)
        length = net.prefixlen + (96 if net.version == 4 else 0)
        nets.append((mapped(str(net.network_address)), length, profile))
    v4, v6 = sinkhole
    return Policy(
        epoch,
        Snapshot(built(*entries, serial=serial)) if listed else None,
        list(profiles),
        {int(category): int(action) for category, action in (actions or {}).items()},
        nets,
        (ipaddress.IPv4Address(v4).packed, ipaddress.IPv6Address(v6).packed),
        shadow,
        refuse,
        KEY,
        profile_actions=[{int(one): int(action) for one, action in own.items()} for own in profile_actions],
        ever=[int(category) for category in ever],
        names=[
            (wire_name(name), kind, SUBTREE if scope == "subtree" else EXACT, int(*action))
            for name, kind, scope, *action in names
        ],
        shielded=list(shielded),
    )


class Upstream:
    """A name server whose every packet a test writes."""

    def __init__(self, sockets: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.setblocking(False)
        self._sockets = sockets

    def __del__(self) -> None:
        self.socket.close()

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.socket.getsockname()
        return host, port

    def connect(self) -> int:
        """A fresh socket connected to it; the descriptor, which the caller owns."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            sock.connect(self.address)
            return sock.detach()

    def connected(self) -> list[int]:
        return [self.connect() for _ in range(self._sockets)]

    def receive(self) -> tuple[bytes, tuple[str, int]]:
        """The next question and where it came from."""
        readable, _, _ = select.select([self.socket], [], [], DEADLINE_SECONDS)
        assert readable, "the upstream was not asked"
        query, source = self.socket.recvfrom(65535)
        return query, source

    def receive_while(self, turn: Callable[[], None]) -> tuple[bytes, tuple[str, int]]:
        """The next question, which something that takes turns will ask."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not select.select([self.socket], [], [], 0)[0]:
            assert time.monotonic() < deadline, "the upstream was not asked"
            turn()
        return self.receive()

    def waiting(self) -> list[tuple[bytes, tuple[str, int]]]:
        """Everything that has arrived."""
        found = []
        while select.select([self.socket], [], [], 0)[0]:
            found.append(self.socket.recvfrom(65535))
        return found

    def waiting_now(self) -> bool:
        """Whether something has arrived."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def send(self, packet: bytes, source: tuple[str, int]) -> None:
        self.socket.sendto(packet, source)


SLOT = struct.Struct("<IIQIIQHHHHBBHI")
SLOT_SIZES = (256, 1024, 4096)
SHARES = (44, 14, 6)
WAYS = 8
LINES_BYTES = 264 * 64
_64 = (1 << 64) - 1
_MULTIPLIER = 0x9E3779B97F4A7C15


def _fold(a: int, b: int) -> int:
    return (a * b ^ a * b >> 64) & _64


def _mix(x: int) -> int:
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _64
    x = (x ^ x >> 27) * 0x94D049BB133111EB & _64
    return x ^ x >> 31


@dataclass
class Slot:
    """One stored answer, where it stands in the cache's memory."""

    memory: mmap.mmap
    at: int
    room: int
    sequence: int
    writer: int
    checksum: int
    stored_at: int
    expires_at: int
    verdict: int
    qtype: int
    bits: int
    packet_size: int
    ttl_count: int
    name_size: int
    traits: int
    pad: int
    pad2: int

    @property
    def name(self) -> bytes:
        return self.memory[self.at + SLOT.size : self.at + SLOT.size + self.name_size]

    @property
    def payload(self) -> slice:
        size = self.name_size + self.packet_size + 2 * self.ttl_count
        return slice(self.at + SLOT.size, self.at + SLOT.size + size)

    def sum(self) -> int:
        """What the checksum must be, computed apart."""
        data = self.memory[self.payload]
        key = SECRET * _MULTIPLIER & _64 | 1
        value = _fold(SECRET ^ self.sequence ^ len(data) << 32, key ^ (self.stored_at << 32 | self.expires_at))
        head = self.qtype << 48 | self.bits << 32 | self.packet_size << 16 | self.ttl_count
        value = _fold(value ^ (self.name_size << 32 | self.traits), key ^ head)
        whole = len(data) // 16 * 16
        for word, following in struct.iter_unpack("<QQ", data[:whole]):
            value = _fold(value ^ word, key ^ following)
        rest = data[whole:]
        word = int.from_bytes(rest[:8], "little") if len(rest) >= 8 else 0
        following = int.from_bytes(rest[8:] if len(rest) >= 8 else rest, "little")
        value = _fold(value ^ word, key ^ following)
        return _mix(value)

    def write(self, *, valid: bool = True) -> None:
        """Puts the changed head back, under a checksum that fits it unless it is to be torn."""
        if valid:
            self.checksum = self.sum()
        SLOT.pack_into(
            self.memory, self.at, self.sequence, self.writer, self.checksum, self.stored_at, self.expires_at,
            self.verdict, self.qtype, self.bits, self.packet_size, self.ttl_count, self.name_size, self.traits,
            self.pad, self.pad2,
        )  # fmt: skip


def _now() -> int:
    """Seconds on the clock that the engine reads."""
    return int(time.clock_gettime(time.CLOCK_MONOTONIC))


class Memory:
    """A cache's memory, which engines may share. Its answers age by `age` alone: what passes on the clock is undone."""

    def __init__(self, size: int, beyond: int = 0, fd: int = -1) -> None:
        """`beyond` is memory behind the cache's, which nobody may touch; `fd` shares it with another process."""
        self.map = mmap.mmap(fd, size + beyond)
        self.size = size
        self.held = True
        self._second = _now()

    def slots(self) -> list[Slot]:
        """Every slot that a tag leads to."""
        found = []
        at = 0
        for size, share in zip(SLOT_SIZES, SHARES, strict=True):
            rows = share * ((self.size - LINES_BYTES) // 64) // (128 + WAYS * size)
            first = at + rows * 128
            for index, (tag,) in enumerate(struct.iter_unpack("<Q", self.map[at : at + rows * 64])):
                if tag:
                    place = first + index * size
                    found.append(Slot(self.map, place, size, *SLOT.unpack_from(self.map, place)))
            at = first + rows * WAYS * size
        assert at <= self.size
        return found

    def line(self, writer: int) -> int:
        """Where a writer notes what it is writing."""
        layers = [
            share * ((self.size - LINES_BYTES) // 64) // (128 + WAYS * size) * (128 + WAYS * size)
            for size, share in zip(SLOT_SIZES, SHARES, strict=True)
        ]
        return sum(layers) + writer * 64

    def age(self, seconds: int) -> None:
        """Makes every stored answer older."""
        for slot in self.slots():
            slot.stored_at -= seconds
            slot.expires_at -= seconds
            slot.write()

    def hold(self) -> None:
        """Due before the engine reads the clock; what it stored since the last time is as new as now."""
        now = _now()
        if now != self._second and self.held:
            for slot in self.slots():
                passed = now - max(self._second, slot.stored_at)
                slot.stored_at += passed
                slot.expires_at += passed
                slot.write()
        self._second = now


@dataclass
class Rig:
    """An engine and everything around it; `rules` are those it began with."""

    rules: Policy
    engine: Engine
    cache: Cache
    memory: Memory
    forwarder: Forwarder
    ring: mmap.mmap | memoryview
    tally: mmap.mmap
    upstreams: list[Upstream]
    told: dict[int, bytes] = field(default_factory=dict)
    _token: int = 0

    def ask(self, query: bytes, *, client: bytes = CLIENT, transport: int = TCP) -> bytes | None:
        """As `Engine.answer`; `token` tells which it was."""
        self._token += 1
        self.memory.hold()
        return self.engine.answer(query, client, transport, self._token)

    def ask_framed(
        self, data: bytes | bytearray, at: int = 0, *, client: bytes = CLIENT, transport: int = TCP, most: int = 100
    ) -> tuple[int, list[bytes], int, int]:
        """As `Engine.answer_framed`, its answers taken apart; who waits has the tokens up to `token`."""
        self.memory.hold()
        after, answers, waiting, outcome = self.engine.answer_framed(
            data, at, client, transport, self._token + 1, -1, most
        )
        self._token += waiting
        return after, unframed(answers), waiting, outcome

    @functools.cached_property
    def onlooker(self) -> Rig:
        """A worker over the same cache that has no upstreams: what is not in the cache fails at once."""
        return rig(self.rules, upstreams=0, memory=self.memory)

    @property
    def token(self) -> int:
        """Of the last query asked."""
        return self._token

    def turn(self, seconds: float = 0.005) -> None:
        """What a loop does once: wait for upstreams or a tick, and take what there is."""
        select.select([self.forwarder.fd], [], [], seconds)
        self.memory.hold()
        self.engine.hear()
        self.engine.tick()
        self.told.update(self.engine.collect())

    def until(self, condition: Callable[[], object]) -> None:
        """Turns until the condition holds."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "the condition never came"
            self.turn()

    def wait(self, token: int) -> bytes:
        """The answer to an earlier query."""
        self.until(lambda: token in self.told)
        return self.told.pop(token)

    def exchange(
        self, query: bytes, respond: Callable[[bytes], bytes], *, client: bytes = CLIENT, upstream: int = 0
    ) -> bytes:
        """Asks what the cache does not hold, answers it as the upstream, and returns what the client gets."""
        assert self.ask(query, client=client) is None
        token = self.token
        asked, source = self.upstreams[upstream].receive()
        self.upstreams[upstream].send(respond(asked), source)
        return self.wait(token)

    def line(self, writer: int) -> int:
        """Where a writer notes what it is writing."""
        layers = [
            share * ((self.size - LINES_BYTES) // 64) // (128 + WAYS * size) * (128 + WAYS * size)
            for size, share in zip(SLOT_SIZES, SHARES, strict=True)
        ]
        return sum(layers) + writer * 64

    def age(self, seconds: int) -> None:
        """Makes every stored answer older."""
        self.memory.age(seconds)

    def cell(self, number: int) -> int:
        """A cell of the ring, over all windows."""
        row = LAYOUT["row_cells"]
        return sum(struct.unpack_from("<Q", self.ring, 8 * (w * row + number))[0] for w in range(LAYOUT["windows"]))

    def count(self, name: str, offset: int = 0) -> int:
        """A named cell of the ring."""
        return self.cell(LAYOUT[name] + offset)

    def blocked(self, category: int, action: int) -> int:
        return self.count("blocked", category * LAYOUT["actions"] + action)

    def queries(self, transport: int = TCP, profile: int = 0, rcode: int = 0) -> int:
        slot = {16: LAYOUT["rcode_badvers"], 23: LAYOUT["rcode_badcookie"]}.get(rcode, rcode)
        return self.count("queries", (transport * LAYOUT["profiles"] + profile) * LAYOUT["rcodes"] + slot)


@functools.cache
def _registrable() -> Registrable:
    return make_registrable(1)


def open_guard(
    *,
    cookies: Cookies | None = None,
    per_second: int = 0,
    burst: int = 1,
    slip: int = 0,
    misses: tuple[int, int] = (100_000, 100_000),
) -> Guard:
    """A guard that lets everybody do everything, but for what is said."""
    limits = Limits(bytearray(1024 * BUCKET_BYTES), KEY, (per_second, burst, misses[0]), [], (32, 56), slip)
    return Guard(cookies, limits, Outstanding(16384, 1), Outstanding(16384, 2), _registrable(), misses[1])


def rig(
    rules: Policy | None = None,
    *,
    upstreams: int = 1,
    sockets: int = 8,
    timeout_ms: int = 20_000,
    stream_ms: int = 20_000,
    cache_bytes: int = 1 << 20,
    ttl_max: int = 86400,
    ttl_min: int = 0,
    ttl_negative: int = 3600,
    stale: int = 86400,
    memory: Memory | None = None,
    writer: int = 3,
    ring: mmap.mmap | memoryview | None = None,
    window_seconds: int = 300,
    guard: Guard | None = None,
    here: Locals | None = None,
    strategy: str = "strict",
    mixed_case: bool = False,
    routes: Routes | None = None,
    loops: Loops | None = None,
    groups: Sequence[int] = (),
    most: int = 100_000,
) -> Rig:
    """An engine over these rules, with upstreams that say nothing by themselves.

    `memory` is another engine's cache, `here` what it answers itself; `groups` tells the group of each upstream.
    """
    servers = [Upstream(sockets) for _ in range(upstreams)]
    forwarder = Forwarder(timeout_ms, stream_ms, routes, mixed_case, loops)
    for number, server in enumerate(servers):
        forwarder.add_upstream(server.connected(), groups[number] if groups else 0, most)
    for group in range(16):
        forwarder.use_strategy(group, strategy)
    memory = memory or Memory(cache_bytes)
    cache = Cache(memoryview(memory.map)[: memory.size], SECRET, writer, stale)
    ring = ring or mmap.mmap(-1, LAYOUT["windows"] * LAYOUT["row_cells"] * 8)
    counters = Counters(memoryview(ring), window_seconds)
    tally = mmap.mmap(-1, TALLY_LAYOUT["halves"] * TALLY_LAYOUT["half_words"] * 8)
    rules = rules or policy()
    times = (ttl_max, ttl_min, ttl_negative)
    parts = (rules, here or Locals([]), cache, counters, Tally(tally), guard or open_guard(), forwarder)
    engine = Engine(*parts, *times)
    return Rig(rules, engine, cache, memory, forwarder, ring, tally, servers)
