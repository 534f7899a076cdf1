"""Asks a resolver one question and shows what it said, for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lachan.asking import Manner, Outcome, Server, Transport
from lachan.exchange import Exchange, exchange
from lachan.message import query, rcode_name, type_name, type_number
from resolver.edgefile import Listen
from resolver.errors import ResolverError

# RFC 8914, as far as this resolver says them.
ERRORS = {
    3: "Stale Answer",
    15: "Blocked",
    16: "Censored",
    17: "Filtered",
    18: "Prohibited",
    22: "No Reachable Authority",
}
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 # what to ask instead


@dataclass(frozen=True)
class Answer:
    """What came back."""

    server: str
    transport: str
    milliseconds: float
    rcode: str
    errors: tuple[str, ...]
    records: tuple[tuple[str, str, int, str, str], ...]

    def headline(self) -> str:
        """One line: code, extended errors, whence, how long."""
        errors = "".join(f", EDE {error}" for error in self.errors)
        return f"{self.rcode}{errors}  ({self.server} over {self.transport}, {self.milliseconds:.1f} ms)"

    def document(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def _shown(result: Exchange, place: str) -> Answer:
    message = result.message
    if result.outcome is not Outcome.ANSWERED or message is None:
        raise ResolverError(f"{place}: {result.outcome.value} after {result.tries} tries")
    return Answer(
        server=place,
        transport=result.transport.value,
        milliseconds=result.duration * 1000,
        rcode=rcode_name(message.rcode),
        errors=tuple(f"{error.code} {ERRORS.get(error.code, '')}".rstrip() for error in message.errors),
        records=tuple(
            (section, record.name, record.ttl, type_name(record.rtype), record.data)
            for section, records in (("answer", message.answers), ("authority", message.authority))
            for record in records
        ),
    )


async def ask(listen: Listen, name: str, qtype: str, *, tcp: bool) -> Answer:
    """Asks the resolver that listens there.

    Raises:
        ResolverError: There is no such type, or no answer came.
        lachan.labels.MessageError: The name is none.
    """
    try:
        number = type_number(qtype)
    except ValueError as error:
        raise ResolverError(str(error)) from error
    address = _ANY_ADDRESS.get(listen.address, listen.address)
    server = Server(address, listen.port, Transport.TCP if tcp else Transport.UDP)
    result = await exchange(server, query(name, number, id=0), Manner(tries=2, timeout=4.0))
    return _shown(result, f"{address}:{listen.port}")
