"""A node or probe on its way in: keys made here, a token spent, a certificate collected.

Holds always: a private key never leaves this machine, and is on its disk before anything is asked for it; the secret
of a token is told to nobody but the service whose authority the token pins; whatever interrupts an enrolment, the same
command goes on with it.
"""

from __future__ import annotations

import asyncio
import enum
import json
import socket
import ssl
from collections.abc import Awaitable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from lachan import application, channel, durable
from lachan.compliance.v1 import enrolment_service_pb2 as pb
from lachan.compliance.v1.enrolment_service_pb2_grpc import EnrolmentServiceStub
from lachan.config import split_host_port
from lachan.errors import LachanError
from lachan.invitation import Invitation, hash_of
from lachan.signing import SigningKey
from lachan.tls import Identity, TlsError, TlsFiles, TlsMaterial, belongs, identity_of, read_pem

CALL_SECONDS = 20.0
POLL_SECONDS = 2.0
MAX_WAITING_BYTES = 1 << 16

T = TypeVar("T")


class NewcomerError(LachanError):
    """An enrolment cannot go on."""


class Standing(enum.Enum):
    """How an enrolment stands."""

    PENDING = "pending"
    ENROLLED = "enrolled"


@dataclass(frozen=True)
class Waiting:
    """An enrolment under way, as it is kept beside the certificate's place; bytes in hexadecimal, PEM as text."""

    server: str
    party: str
    token_hash: str
    key: str
    csr: str
    authority: str = ""
    enrolment_id: str = ""
    fingerprint: str = ""


@dataclass(frozen=True)
class Outcome:
    """What is told to whoever enrols."""

    standing: Standing
    # As people compare it.
    fingerprint: str


def place_of(files: TlsFiles) -> Path:
    """Where an enrolment under way is kept."""
    return files.certificate.with_name(f".{files.certificate.name}.enrolment")


def _keep(files: TlsFiles, waiting: Waiting) -> Waiting:
    durable.make_folder(files.certificate.parent)
    durable.write(place_of(files), [json.dumps(asdict(waiting)).encode()])
    return waiting


def _kept(files: TlsFiles) -> Waiting | None:
    path = place_of(files)
    if not path.exists():
        return None
    try:
        return Waiting(**json.loads(durable.read(path, MAX_WAITING_BYTES)))
    except (ValueError, TypeError) as error:
        raise NewcomerError(f"{path}: cannot be read; remove it and begin with a new token") from error


def _leaf(server: str) -> bytes:
    """What a server shows (PEM), believed for nothing yet."""
    host, port = split_host_port(server)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host, port), CALL_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as shown,
        ):
            der = shown.getpeercert(binary_form=True)
    except OSError as error:
        raise NewcomerError(f"{server}: cannot be reached: {error}") from error
    return ssl.DER_cert_to_PEM_cert(der or b"").encode()


async def _told(call: Awaitable[T], server: str) -> T:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise NewcomerError(f"{server}: {error.code().name}: {error.details()}") from error


async def authority_of(invitation: Invitation) -> bytes:
    """The authority that a token pins, as the server hands it out; PEM.

    Raises:
        NewcomerError: The server cannot be reached, or is not the one the token is for.
    """
    server = invitation.server
    async with channel.connect_unnamed(server, await asyncio.to_thread(_leaf, server)) as opened:
        asked = EnrolmentServiceStub(opened).GetAuthority(pb.GetAuthorityRequest(), timeout=CALL_SECONDS)
        answer = await _told(asked, server)
    try:
        found = x509.load_pem_x509_certificates(answer.authorities)
    except ValueError as error:
        raise NewcomerError(f"{server}: hands out no authority") from error
    for one in found:
        if one.fingerprint(hashes.SHA256()) == invitation.pin:
            return one.public_bytes(Encoding.PEM)
    raise NewcomerError(f"{server}: is not the service that this token is for: it has another authority")


async def apply(files: TlsFiles, party: Identity, key: SigningKey, invitation: Invitation) -> Waiting:
    """Spends a token, or finds that this machine has spent it before.

    Args:
        files: Where the certificate is to be.
        party: Who this is, by its configuration.
        key: Of its reports or observations.
        invitation: The token.

    Raises:
        NewcomerError: The token is another's, is refused, or the server is not the one it is for.
    """
    if invitation.party != party:
        raise NewcomerError(f"the token is for {invitation.party}, and this is {party}")
    token_hash = hash_of(invitation.secret)
    waiting = _kept(files)
    if waiting is None or waiting.token_hash != token_hash.hex():
        made = application.new_key()
        csr = application.request(made, party, application.binding(token_hash, key.public.raw))
        waiting = Waiting(
            invitation.server, str(party), token_hash.hex(), application.key_pem(made).decode(), csr.hex()
        )
        _keep(files, waiting)
    if waiting.enrolment_id:
        return waiting
    authority = await authority_of(invitation)
    csr = bytes.fromhex(waiting.csr)
    signature = key.sign(application.ENROLMENT, application.statement(token_hash, csr))
    request = pb.RequestEnrolmentRequest(secret=invitation.secret, csr=csr, key=key.public.raw, signature=signature)
    async with channel.connect_unnamed(invitation.server, authority) as opened:
        asked = EnrolmentServiceStub(opened).RequestEnrolment(request, timeout=CALL_SECONDS)
        answer = await _told(asked, invitation.server)
    shown = application.fingerprint(application.load_key(waiting.key.encode()).public_key(), key.public.raw)
    if answer.fingerprint != shown:
        raise NewcomerError(f"{invitation.server}: holds another fingerprint than ours: do not confirm it")
    return _keep(
        files,
        replace(
            waiting,
            authority=authority.decode(),
            enrolment_id=answer.enrolment_id.hex(),
            fingerprint=shown.hex(),
        ),
    )


async def collect(files: TlsFiles, party: Identity, key: SigningKey, waiting: Waiting) -> Standing:
    """Asks how an enrolment stands, and puts the certificate into its place once it is there.

    Raises:
        NewcomerError: It was refused, came too late, or what was issued is not ours.
    """
    number = bytes.fromhex(waiting.enrolment_id)
    request = pb.CollectCertificateRequest(enrolment_id=number, signature=key.sign(application.COLLECTION, number))
    async with channel.connect_unnamed(waiting.server, waiting.authority.encode()) as opened:
        asked = EnrolmentServiceStub(opened).CollectCertificate(request, timeout=CALL_SECONDS)
        answer = await _told(asked, waiting.server)
    if answer.state == pb.ENROLMENT_STATE_PENDING:
        return Standing.PENDING
    if answer.state != pb.ENROLMENT_STATE_CONFIRMED:
        place_of(files).unlink(missing_ok=True)
        state = pb.EnrolmentState.Name(answer.state).removeprefix("ENROLMENT_STATE_").lower()
        raise NewcomerError(f"this enrolment was {state}: begin with a new token")
    install(files, party, waiting.authority.encode(), answer.chain, waiting.key.encode())
    place_of(files).unlink(missing_ok=True)
    return Standing.ENROLLED


def install(files: TlsFiles, party: Identity, authority: bytes, chain: bytes, key: bytes) -> None:
    """Puts a certificate with its key, and the authority if there is none yet, into their places.

    Raises:
        NewcomerError: The certificate is not ours, or another authority is trusted here.
    """
    try:
        if identity_of(chain) != party or not belongs(TlsMaterial(authority, chain, key, party)):
            raise NewcomerError("what was issued is not for this party and its key")
        trusted = read_pem(files.ca) if files.ca.exists() else b""
        ours = x509.load_pem_x509_certificate(authority)
        if trusted and ours not in x509.load_pem_x509_certificates(trusted):
            raise NewcomerError(f"{files.ca}: the authority that the token pins is not among these")
    except (TlsError, ValueError) as error:
        raise NewcomerError(f"what was issued cannot be used: {error}") from error
    if not trusted:
        durable.make_folder(files.ca.parent)
        durable.write(files.ca, [authority], durable.PUBLIC)
    write_pair(files, chain, key)


def write_pair(files: TlsFiles, chain: bytes, key: bytes) -> None:
    """Writes certificate and key: in one step where they share a file, else the key first.

    Raises:
        FileError: They cannot be written.
    """
    if files.certificate == files.key:
        durable.write(files.key, [key, chain])
        return
    durable.make_folder(files.key.parent)
    durable.write(files.key, [key])
    durable.write(files.certificate, [chain], durable.PUBLIC)


def party_of(files: TlsFiles) -> Identity:
    """Whose enrolment is under way.

    Raises:
        NewcomerError: There is none.
    """
    waiting = _kept(files)
    if waiting is None:
        raise NewcomerError("no enrolment is under way here: hand over a token")
    return Identity.parse(waiting.party)


async def enrol(files: TlsFiles, party: Identity, key: SigningKey, token: str | None, patience: float) -> Outcome:
    """Begins an enrolment, or goes on with it, and waits for the organisation's decision.

    Args:
        files: Where the certificate is to be.
        party: Who this is, by its configuration.
        key: Of its reports or observations.
        token: As it was handed over; None goes on with what was begun.
        patience: Seconds to wait for the decision.

    Raises:
        NewcomerError: It cannot go on.
        InvitationError: The token is none.
    """
    waiting = await apply(files, party, key, Invitation.parse(token)) if token is not None else _kept(files)
    if waiting is None or not waiting.enrolment_id:
        raise NewcomerError("no enrolment is under way here: hand over a token")
    shown = application.shown(bytes.fromhex(waiting.fingerprint))
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    while True:
        standing = await collect(files, party, key, waiting)
        left = end - loop.time()
        if standing is Standing.ENROLLED or left <= 0:
            return Outcome(standing, shown)
        await asyncio.sleep(min(POLL_SECONDS, left))


def advice(party: Identity, fingerprint: str) -> str:
    """What to do while an enrolment is pending."""
    return (
        f"{party}: waits for {party.organisation} to confirm this fingerprint:\n\n    {fingerprint}\n\n"
        "Then run the same command with --resume, or with --wait to have it wait."
    )
