"""Who may download the list and hear of it: by what their certificates say, at each request.

Holds always: nodes that the membership knows, of any operator, and people of the list's own organisation are let in,
nobody else whom the authority vouches for: a probe that held the list could be asked to name it; whoever was ended is
refused from the next request on, on a connection that stands as well, and by every service beside the files.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import grpc.aio
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from blocklist_sync.central.serving.membership import Followed, Shown
from lachan import channel, log
from lachan.tls import Identity, Role, TlsError


class Admission:
    """The rule, and what it follows."""

    def __init__(self, organisation: str | None, followed: Followed | None) -> None:
        """Remembers both.

        Args:
            organisation: Whose people may download; nobody's if None.
            followed: Who is let in and whose certificates count no longer, where that is told.
        """
        self._organisation = organisation
        self.followed = followed

    def ended(self, shown: Shown) -> bool:
        """Whether a certificate counts no longer."""
        return self.followed is not None and self.followed.known.ended(shown)

    def caller(self, context: grpc.aio.ServicerContext[Any, Any]) -> Identity:
        """Who is calling, by the certificate that TLS verified; the services say what each may.

        Raises:
            TlsError: The certificate names nobody of this system, or somebody who was ended.
        """
        shown = Shown.of(channel.peer(context)[0])
        if self.ended(shown):
            raise TlsError(f"{shown.identity} was revoked")
        return shown.identity

    def refusal(self, shown: Shown, *, people: bool) -> str | None:
        """Why somebody is refused; None if they are not."""
        who = shown.identity
        own = people and who.role is Role.PERSON and who.organisation == self._organisation
        if who.role is not Role.NODE and not own:
            return "for nodes and the list's own people alone" if people else "for nodes alone"
        if self.ended(shown):
            return f"{who} was revoked"
        if who.role is Role.NODE and self.followed is not None and not self.followed.known.admits(who):
            self.followed.knocked()
            return f"{who} is not enrolled"
        return None


class _Guarded:
    """The application, for one connection."""

    def __init__(self, inner: ASGIApp, shown: Shown | None, admission: Admission) -> None:
        self._inner = inner
        self._shown = shown
        self._admission = admission

    def _refusal(self) -> str | None:
        if self._shown is None:
            return "the certificate names nobody of this system"
        return self._admission.refusal(self._shown, people=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal()
        if refusal is None:
            await self._inner(scope, receive, send)
            return
        log.get().warning("download refused", caller=str(self._shown.identity) if self._shown else "", reason=refusal)
        headers = {"Cache-Control": "no-store", "Connection": "close"}
        await PlainTextResponse(refusal, 403, headers)(scope, receive, send)


def _shown(transport: asyncio.BaseTransport) -> Shown | None:
    secured = transport.get_extra_info("ssl_object")
    certificate = secured.getpeercert(binary_form=True) if secured is not None else None
    if not certificate:
        return None
    try:
        return Shown.of(ssl.DER_cert_to_PEM_cert(certificate).encode())
    except TlsError:
        return None


def protocol(admission: Admission) -> type[asyncio.Protocol]:
    """HTTP/1.1, as uvicorn speaks it, with each connection's certificate held against the rule: ASGI knows of none."""

    class Admitting(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
            super().connection_made(transport)
            self.app = _Guarded(self.app, _shown(transport), admission)

    return Admitting
