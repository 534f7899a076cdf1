from collections.abc import Iterable
from typing import Self, final

from typing_extensions import Buffer

from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.rules import Match

MAGIC: bytes
FORMAT: int

def fingerprint(name: str, key: bytes) -> int: ...
def siphash(key: bytes, chunks: Iterable[bytes]) -> int: ...
def check(records: bytes, offset: int, count: int, orders: int) -> int: ...

# records: the release's bytes. offset, count: where its records begin, and how many there are. serial, key_epoch, key:
# as in its header. orders: the order table as it stands there. mandated: one byte for each order, not zero where it
# mandates. always: one byte for each category from 0, not zero where it binds everybody whatever the order says.
# digest: SHA-256 of the release's bytes.
def assemble(
    records: bytes,
    offset: int,
    count: int,
    *,
    serial: int,
    key_epoch: int,
    key: bytes,
    orders: bytes,
    mandated: bytes,
    always: bytes,
    digest: bytes,
) -> bytearray: ...

@final
class Snapshot:
    def __new__(cls, buffer: Buffer) -> Self: ...
    @property
    def serial(self) -> int: ...
    @property
    def count(self) -> int: ...
    @property
    def key_epoch(self) -> int: ...
    @property
    def records_digest(self) -> bytes: ...
    @property
    def orders(self) -> tuple[Order, ...]: ...
    def fingerprint(self, name: str) -> int: ...
    def fingerprints(self) -> bytes: ...
    def lookup(self, name: str) -> list[Match]: ...
