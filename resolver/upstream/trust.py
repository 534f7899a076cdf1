"""Whom an upstream's TLS is believed (RFC 7858, 8310): by its certificate's chain and name, by its key, or by both.

Holds always: no question is asked before the certificate is found good; what cannot be verified is an error in words,
not a connection without verification. With pins alone the key decides, whoever signed its certificate (RFC 7858 4.2).
"""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from base64 import b64decode
from collections.abc import Iterator, Sequence

from lachan.config import Problem
from lachan.tls import TlsError, read_pem
from resolver.channel import TlsChannel
from resolver.upstream.settings import Upstream

DOH_PROTOCOLS = ("h2", "http/1.1")


class UntrustedError(ssl.SSLError):
    """The upstream is not who it should be."""


def name_of(upstream: Upstream) -> str:
    """What its certificate must be made out for."""
    return upstream.server_name or upstream.address


def context(upstream: Upstream) -> ssl.SSLContext:
    """What connections to an upstream are made with.

    Raises:
        TlsError: Whom to trust cannot be read.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # RFC 7858 asks for RFC 7525's manners, RFC 9325 since: 1.2 at least, nothing compressed, nothing renegotiated.
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if upstream.ca is not None:
        try:
            made.load_verify_locations(cadata=read_pem(upstream.ca).decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            raise TlsError(f"{upstream.ca}: not certificates in PEM") from error
    elif upstream.pins:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    else:
        made.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if upstream.protocol == "doh":
        made.set_alpn_protocols(list(DOH_PROTOCOLS))
    return made


def problems(upstreams: Sequence[Upstream]) -> Iterator[Problem]:
    """What is wrong with the authorities that a configuration names."""
    for index, upstream in enumerate(upstreams):
        if upstream.ca is not None:
            try:
                context(upstream)
            except TlsError as error:
                yield Problem(f"upstreams.{index}.ca", str(error))


def pin_of(certificate: bytes) -> bytes:
    """The SHA-256 of a certificate's public key (RFC 7469 2.4).

    Args:
        certificate: DER.
    """
    # An edge without pins need not hold the library in memory.
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = x509.load_der_x509_certificate(certificate).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


class ClientChannel(TlsChannel):
    """One TLS connection to an upstream, without a socket."""

    def __init__(self, context: ssl.SSLContext, upstream: Upstream, session: ssl.SSLSession | None) -> None:
        super().__init__(context, server_hostname=name_of(upstream), session=session)
        self._pins = [b64decode(pin) for pin in upstream.pins]
        super()._shake(b"")

    def _shake(self, data: bytes) -> None:
        super()._shake(data)
        if self.open and self._pins:
            certificate = self._tls.getpeercert(binary_form=True)
            try:
                known = certificate is not None and pin_of(certificate) in self._pins
            except ValueError:
                known = False
            if not known:
                raise UntrustedError("the key is none of those that are pinned")

    @property
    def context(self) -> ssl.SSLContext:
        """What it was made with."""
        return self._tls.context

    @property
    def session(self) -> ssl.SSLSession | None:
        """What the next connection can begin with, where the upstream has given something."""
        found = self._tls.session
        return found if found is not None and found.has_ticket else None

    @property
    def resumed(self) -> bool:
        """This connection began with an earlier one's session."""
        return bool(self._tls.session_reused)


class Trust:
    """What connections to one upstream are made with: whom to trust, as it is now, and the last session."""

    def __init__(self, upstream: Upstream) -> None:
        """Reads whom to trust, which takes tens of milliseconds for all of the system's: not while others wait."""
        self._upstream = upstream
        self._session: ssl.SSLSession | None = None
        self._signature = self._look()
        self._context: ssl.SSLContext | None = None
        # What is wrong is told when a connection is wanted.
        with contextlib.suppress(TlsError):
            self._context = context(upstream)

    def channel(self) -> ClientChannel:
        """A connection to begin.

        Raises:
            TlsError: Whom to trust cannot be read, nor ever could.
        """
        signature = self._look()
        if self._context is None or signature != self._signature:
            try:
                self._context, self._session = context(self._upstream), None
            except TlsError:
                # A file in the middle of being replaced: those trusted before are trusted on.
                if self._context is None:
                    raise
            self._signature = signature
        return ClientChannel(self._context, self._upstream, self._session)

    def keep(self, channel: ClientChannel) -> None:
        """Takes the session that a connection leaves, for the next one."""
        # A session belongs to the context that it was made in.
        if channel.open and channel.context is self._context:
            self._session = channel.session or self._session

    def drop(self) -> None:
        """Begins the next connection with nothing."""
        self._session = None

    def _look(self) -> tuple[int, ...]:
        if self._upstream.ca is None:
            return ()
        try:
            found = self._upstream.ca.stat()
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_size, found.st_ino


def reason(error: ssl.SSLError, upstream: Upstream) -> tuple[str, str]:
    """Why a handshake failed: one of a closed set of kinds, and a sentence."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate", f"its certificate for {name_of(upstream)} is not good: {error.verify_message}"
    if isinstance(error, UntrustedError):
        return "certificate", f"its certificate is not good: {error.args[0]}"
    return "tls", f"no TLS as agreed: {error.reason or type(error).__name__}"
