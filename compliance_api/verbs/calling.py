"""Calls of the service by a person, with their own certificate: no database, and nothing of the service's machine."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compliance_api.errors import ComplianceError
from lachan import terminal, tls

if TYPE_CHECKING:
    from collections.abc import Callable

Service = Annotated[str | None, typer.Option("--service", help="HOST:PORT of the service's gRPC.")]
Person = Annotated[
    Path | None, typer.Option("--as", help="Folder with your ca.pem, certificate.pem and key.pem: a person's.")
]
CALL_SECONDS = 20.0
SIGNING_KEY = "signing.pem"


def files(folder: Path) -> tls.TlsFiles:
    """Where a person's certificate stands in their folder."""
    return tls.TlsFiles(ca=folder / "ca.pem", certificate=folder / "certificate.pem", key=folder / "key.pem")


def ending(end: float, due: float, now: float) -> str | None:
    """What to tell a person of their certificate's end, once it is time to renew it.

    Args:
        end: When it ends, seconds since 1970.
        due: When it is to be renewed at the latest.
        now: The time.
    """
    if now < due:
        return None
    at = f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M} UTC"
    if now < end:
        return f"your certificate ends at {at}: `lachan-compliance person renew`, as nothing but you does it"
    return f"your certificate ended at {at}: only a new token lets you in again"


def _warn(certificate: bytes) -> None:
    from lachan.renewal import life_of

    life = life_of(certificate)
    if warning := ending(life.end, life.due(1.0), time.time()):
        terminal.complain(warning)


def call(service: str | None, person: Path | None, stub: Callable[[Any], Any], method: str, request: Any) -> Any:
    """One call, as a person.

    Args:
        service: HOST:PORT.
        person: Their folder.
        stub: The service's stub, by its class.
        method: Of the stub.
        request: What is asked.

    Raises:
        ComplianceError: An option is missing, or the service refuses.
    """
    import grpc

    from lachan import channel

    if service is None or person is None:
        raise ComplianceError("either --config, or --service and --as")
    material = tls.load(files(person))
    _warn(material.certificate)

    async def one() -> Any:
        async with channel.connect(service, material) as opened:
            try:
                return await getattr(stub(opened), method)(request, timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                raise ComplianceError(f"{error.code().name}: {error.details()}") from error

    return asyncio.run(one())
