"""Walks along a line for `lachan-probe check-line`: asks what has to be asked, and shows what was found.

Holds always: only the authority's own hosts and the line's own resolvers are asked; names are nonces of the authority's
zone, drawn anew each time, so that no cache answers for anybody; every question has its tries and its end.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from random import Random
from typing import Any

from compliance_api.probe.linecheck import CANARY, Asked, Network, Purpose, Result, State, Subject, judge
from compliance_api.probe.settings import CheckLineSettings
from lachan import message
from lachan.asking import Manner, Server, Transport
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.exchange import exchange
from lachan.signing import LINE_CHECK, SigningKey

NONCE_BYTES = 10

EXIT_CLOSED = 0
EXIT_OPEN = 3
EXIT_UNDECIDED = 4

_SUBJECTS = {
    Subject.OWN_RESOLVER: "Máy chủ phân giải của đường truyền / The line's own resolver",
    Subject.OTHER_UDP_53: "Máy chủ khác qua cổng 53 UDP / Other resolvers on port 53, UDP",
    Subject.OTHER_TCP_53: "Máy chủ khác qua cổng 53 TCP / Other resolvers on port 53, TCP",
    Subject.OTHER_TLS_853: "Máy chủ khác qua cổng 853 (DoT) / Other resolvers on port 853 (DoT)",
    Subject.INTERCEPTION: "Có bên chặn giữa trả lời thay / Somebody in between answers",
    Subject.CANARY: "Tín hiệu tắt DoH cho trình duyệt / Signal to browsers against DoH",
}
_STATES = {
    State.WORKS: "hoạt động / works",
    State.OPEN: "MỞ: đi vòng được / OPEN: a way round the filter",
    State.CLOSED: "đóng / closed",
    State.INTERCEPTED: "bị trả lời thay / intercepted",
    State.NONE: "không thấy / none seen",
    State.SET: "có / set",
    State.NOT_SET: "KHÔNG có / NOT set",
    State.UNKNOWN: "chưa rõ / unknown",
}


class Walk:
    """One check of one line."""

    def __init__(self, settings: CheckLineSettings, own: Sequence[str], manner: Manner, rng: Random) -> None:
        """Takes what to ask.

        Args:
            settings: The authority's hosts.
            own: The line's own resolvers.
            manner: How often to try, and how long.
            rng: Where nonces and ids come from.
        """
        self._settings = settings
        self._own = own
        self._manner = manner
        self._rng = rng

    def _nonce(self, zone: str) -> str:
        return f"{self._rng.getrandbits(8 * NONCE_BYTES):0{2 * NONCE_BYTES}x}.{zone}"

    async def _ask(self, purpose: Purpose, server: Server, qname: str, qtype: int) -> Asked:
        query = message.query(qname, qtype, id=self._rng.getrandbits(16))
        return Asked(purpose, server.address, qname, await exchange(server, query, self._manner, rng=self._rng))

    async def _whoami(self, server: Server) -> list[Asked]:
        if not self._settings.whoami:
            return []
        return [await self._ask(Purpose.WHOAMI, server, self._nonce(self._settings.whoami), message.TXT)]

    async def _own_resolver(self, address: str) -> list[Asked]:
        server = Server(address, self._settings.own_port)
        zone = self._settings.zone
        return [
            await self._ask(Purpose.OWN, server, self._nonce(zone), message.TXT),
            await self._ask(Purpose.CANARY, server, CANARY, message.A),
            await self._ask(Purpose.CANARY, server, CANARY, message.AAAA),
            *await self._whoami(server),
        ]

    async def _elsewhere(self, purpose: Purpose, address: str, transport: Transport) -> list[Asked]:
        settings = self._settings
        port = settings.tls_port if transport is Transport.DOT else settings.port
        server = Server(address, port, transport, settings.resolver_name)
        asked = await self._ask(purpose, server, self._nonce(settings.zone), message.TXT)
        # Whoever answers where nobody should is asked who they are.
        more = await self._whoami(server) if purpose is Purpose.SILENT and asked.answered else []
        return [asked, *more]

    async def run(self) -> Result:
        """Asks everybody, and says what it means."""
        settings = self._settings
        tasks = [self._own_resolver(address) for address in self._own]
        for purpose, addresses in ((Purpose.OTHER, settings.resolvers), (Purpose.SILENT, settings.silent)):
            tasks += [
                self._elsewhere(purpose, address, transport)
                for address in addresses
                for transport in (Transport.UDP, Transport.TCP, Transport.DOT)
            ]
        asked = [one for some in await asyncio.gather(*tasks) for one in some]
        egresses: tuple[Network, ...] = tuple(
            ipaddress.ip_network(text) for text in settings.egresses or settings.resolvers
        )
        return judge(asked, egresses)


def rows(result: Result) -> list[tuple[str, str, str]]:
    """The result as a table, Vietnamese first."""
    return [(_SUBJECTS[one.subject], _STATES[one.state], ", ".join(one.details)) for one in result.checks]


def document(result: Result) -> dict[str, Any]:
    """The result for machines."""
    return {
        "open": result.open,
        "decided": result.decided,
        "checks": {one.subject: {"state": one.state, "details": list(one.details)} for one in result.checks},
    }


def told(result: Result, begun: pb.Stamp, key: SigningKey) -> bytes:
    """The result as it is handed in: signed, and without whom it was seen at.

    Args:
        result: What was found.
        begun: The service's stamp from before the first question.
        key: The probe's.
    """
    findings = [
        pb.LineFinding(
            subject=pb.LineSubject.Value(f"LINE_SUBJECT_{one.subject.upper()}"),
            state=pb.LineState.Value(f"LINE_STATE_{one.state.upper()}"),
        )
        for one in result.checks
    ]
    check = pb.LineCheck(begun=begun, findings=findings).SerializeToString(deterministic=True)
    signed = pb.SignedLineCheck(check=check, signature=key.sign(LINE_CHECK, check), key_id=key.public.key_id)
    return signed.SerializeToString(deterministic=True)


def exit_code(result: Result) -> int:
    """0 where nothing is open, 3 where something is, 4 where that cannot be said."""
    if result.open:
        return EXIT_OPEN
    return EXIT_CLOSED if result.decided else EXIT_UNDECIDED
