"""A witness as a service: `POST /add-checkpoint` over HTTP, for whoever runs one apart from the authority.

Holds always: requests are decided one after the other. Nothing that is said here is secret, and everything is signed by
the log or the witness, so that plain HTTP gives an attacker no more than silence; a proxy may put TLS in front.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

import structlog
from pydantic import Field, field_validator

from compliance_api.ledger import submission
from compliance_api.ledger.submission import Reply
from compliance_api.ledger.witness import Witness
from lachan import endpoint
from lachan.config import ConfigPath, HostPort, Settings, split_host_port
from lachan.ledger import note
from lachan.ledger.note import NoteError, NoteKey, SignatureKind
from lachan.log import LogSettings
from lachan.signing import SigningKey

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

MAX_LOGS = 32
PATH = "/add-checkpoint"

_log = structlog.get_logger()


class WitnessSettings(Settings):
    """The configuration of a witness: `witness.yaml`."""

    listen: HostPort
    """Where logs ask, plain HTTP."""
    name: Annotated[str, Field(min_length=1, max_length=note.MAX_KEY_NAME_CHARACTERS)]
    """The name its cosignatures bear."""
    key: ConfigPath
    """Its Ed25519 key, used for nothing else and by no other witness."""
    folder: ConfigPath
    """Where it keeps the last checkpoint of each log; whoever loses it may cosign a second history."""
    logs: Annotated[list[str], Field(min_length=1, max_length=MAX_LOGS)]
    """Verifier keys of the logs it witnesses."""
    log: LogSettings = LogSettings()

    @field_validator("name")
    @classmethod
    def _is_name(cls, name: str) -> str:
        if not note.is_key_name(name):
            raise ValueError("a name without blanks and plus signs is expected")
        return name

    @field_validator("logs")
    @classmethod
    def _are_keys(cls, logs: list[str]) -> list[str]:
        for number, text in enumerate(logs):
            try:
                kind = NoteKey.parse(text).kind
            except NoteError as error:
                raise ValueError(f"{number}: {error}") from error
            if kind is not SignatureKind.ED25519:
                raise ValueError(f"{number}: the key of a witness, not of a log")
        return logs


def application(witness: Witness, now: Callable[[], int]) -> WSGIApplication:
    """The one path, as WSGI."""
    turn = threading.Lock()

    def decide(environ: WSGIEnvironment) -> Reply:
        if environ["PATH_INFO"] != PATH:
            return Reply(HTTPStatus.NOT_FOUND, submission.PLAIN, f"only {PATH}\n".encode())
        if environ["REQUEST_METHOD"] != "POST":
            return Reply(HTTPStatus.METHOD_NOT_ALLOWED, submission.PLAIN, b"only POST\n")
        length = environ.get("CONTENT_LENGTH") or ""
        if not length.isascii() or not length.isdigit():
            return Reply(HTTPStatus.LENGTH_REQUIRED, submission.PLAIN, b"a Content-Length is needed\n")
        if len(length) > len(str(submission.MAX_BODY_BYTES)) or int(length) > submission.MAX_BODY_BYTES:
            too_large = f"more than {submission.MAX_BODY_BYTES} bytes\n".encode()
            return Reply(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, submission.PLAIN, too_large)
        try:
            # Outside of the turn: who sends slowly holds up nobody else.
            body = environ["wsgi.input"].read(int(length))
        except OSError:
            return Reply(HTTPStatus.REQUEST_TIMEOUT, submission.PLAIN, b"the request did not come\n")
        with turn:
            return submission.answer(witness, body, now())

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        reply = decide(environ)
        if reply.status is not HTTPStatus.OK:
            _log.warning("refused", status=reply.status.value)
        headers = [("Content-Type", reply.form), ("Content-Length", str(len(reply.body)))]
        start_response(f"{reply.status.value} {reply.status.phrase}", headers)
        return [reply.body]

    return answer


def serve(settings: WitnessSettings, ready: Callable[[str, NoteKey], None]) -> None:
    """Witnesses until SIGTERM or SIGINT.

    Args:
        settings: Its configuration.
        ready: Told the address that it listens on, and the key to put into policies.

    Raises:
        LachanError: The key, the folder or the address cannot be had.
    """
    key = SigningKey.load(settings.key)
    logs = [NoteKey.parse(text) for text in settings.logs]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    host, port = split_host_port(settings.listen)
    with (
        Witness.opened(settings.folder, settings.name, key, logs) as witness,
        endpoint.serve_app("witness", host, port, application(witness, lambda: int(time.time()))) as (address, bound),
    ):
        shown = f"[{address}]:{bound}" if ":" in address else f"{address}:{bound}"
        ready(shown, NoteKey(settings.name, SignatureKind.COSIGNATURE, key.public))
        stop.wait()
