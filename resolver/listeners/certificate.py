"""A server's certificate and key: read at start, and again when the files change.

Holds always: a pair that cannot be used never replaces one that can; it is told in the log once, and tried again until
it can. New connections get the new pair, old ones keep theirs. The keys that seal session tickets live in a context and
no longer than it (RFC 8446 8.1, F.1): a context is made anew from time to time, whatever the files do.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lachan import log
from lachan.config import Problem
from lachan.tls import TlsError, read_pem
from resolver.pages.settings import PagesSettings
from resolver.settings import Edge
from resolver.values import ServerTls

if TYPE_CHECKING:
    from cryptography import x509

LOOK_SECONDS = 1.0
RENEW_SECONDS = 6 * 3600.0

DOT_PROTOCOLS = ("dot",)
DOH_PROTOCOLS = ("h2", "http/1.1")

Signature = tuple[tuple[int, int, int], ...]


def _signature(files: ServerTls) -> Signature:
    """What changes when a file is written or replaced; empty where one is missing."""
    try:
        found = [path.stat() for path in (files.certificate, files.key)]
    except OSError:
        return ()
    return tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in found)


def leaf(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file, the server's own.

    Raises:
        TlsError: There is none.
    """
    # An edge without encrypted listeners need not hold the library in memory.
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(read_pem(path))
    except ValueError as error:
        raise TlsError(f"{path}: not a certificate in PEM") from error


def context(files: ServerTls, protocols: Sequence[str]) -> ssl.SSLContext:
    """What new connections are made with.

    Args:
        files: The pair.
        protocols: What ALPN (RFC 7301) may choose, the best first.

    Raises:
        TlsError: The files cannot be read, or do not belong together.
    """
    read_pem(files.key)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # RFC 7858 asks for RFC 7525's manners, RFC 9325 since: 1.2 at least, nothing compressed, nothing renegotiated.
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        # A password, though an empty one: nobody is there to be asked for it.
        made.load_cert_chain(files.certificate, files.key, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise TlsError(f"{files.certificate} with {files.key}: {reason}") from error
    made.set_alpn_protocols(list(protocols))
    return made


def _not_after(files: ServerTls, *, expired: bool) -> float:
    """When a certificate expires, seconds since 1970.

    Raises:
        TlsError: It has, and may not.
    """
    not_after = leaf(files.certificate).not_valid_after_utc.timestamp()
    if not expired and not_after <= time.time():
        raise TlsError(f"{files.certificate}: has expired")
    return not_after


class Certificate:
    """One pair as a worker serves it."""

    def __init__(self, files: ServerTls, protocols: Sequence[str], now: float) -> None:
        """Reads the pair; `now` is any clock that never goes back. A pair that cannot be used is told, not raised."""
        self._files = files
        self._protocols = protocols
        self._used: Signature | None = None
        self._suspect: Signature | None = None
        self._told: Signature | None = None
        self._made_at = now
        self.context: ssl.SSLContext | None = None
        """None while there has never been a pair that can be used."""
        self.not_after = 0.0
        """When the certificate in use expires, seconds since 1970."""
        self.look(now)

    @property
    def refused(self) -> bool:
        """The files as they are now cannot be used."""
        return self._suspect is not None

    def look(self, now: float) -> None:
        """Takes the pair over where the files have changed; due every `LOOK_SECONDS`."""
        signature = _signature(self._files)
        if signature == self._used and now - self._made_at < RENEW_SECONDS:
            self._suspect = None
            return
        try:
            # An expired one serves where there is no other: some clients do not look (RFC 8310 5), all need names.
            not_after = _not_after(self._files, expired=self.context is None)
            fresh = context(self._files, self._protocols)
        except TlsError as error:
            # Two files are not replaced in one moment: what cannot be used is told when it is so the second time.
            if self._told != signature and (self._suspect == signature or self.context is None):
                log.get().error(
                    "a certificate cannot be used",
                    reason=str(error),
                    instead="the one before" if self.context is not None else "none: connections are closed",
                )
                self._told = signature
            self._suspect = signature
            return
        if self._used is not None and signature != self._used:
            log.get().info("certificate replaced", certificate=str(self._files.certificate), not_after=int(not_after))
        if not_after <= time.time():
            log.get().error("a certificate has expired", certificate=str(self._files.certificate))
        self.context, self.not_after, self._made_at = fresh, not_after, now
        self._used, self._suspect, self._told = signature, None, None


def _speaks_for(certificate: x509.Certificate, name: str) -> bool:
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    known = {one.lower() for one in names.get_values_for_type(x509.DNSName)}
    return name in known or f"*.{name.partition('.')[2]}" in known


def _unspoken(files: ServerTls, names: Iterable[str]) -> list[str]:
    """Of the names, those that the certificate does not speak for.

    Raises:
        TlsError: The pair cannot be used.
    """
    certificate = leaf(files.certificate)
    context(files, ())
    return [name for name in names if not _speaks_for(certificate, name)]


def problems(edge: Edge) -> Iterator[Problem]:
    """What is wrong with the certificates that a configuration names."""
    for index, listen in enumerate(edge.file.listen):
        if listen.tls is None:
            continue
        place = f"listen.{index}"
        try:
            for name in _unspoken(listen.tls, listen.profiles.server_names):
                yield Problem(f"{place}.profiles.server_names.{name}", "the certificate does not speak for this name")
        except TlsError as error:
            yield Problem(f"{place}.tls", str(error))
    if edge.file.pages is not None:
        yield from _page_problems(edge.file.pages)


def _page_problems(pages: PagesSettings) -> Iterator[Problem]:
    # A mark lies under a name of its own for each time that it is looked for.
    wanted = () if pages.name is None else (pages.name, f"*.{pages.name}")
    for index, listen in enumerate(pages.listen):
        if listen.tls is None:
            continue
        place = f"pages.listen.{index}.tls"
        try:
            for name in _unspoken(listen.tls, wanted):
                yield Problem(place, f"the certificate does not speak for {name}")
        except TlsError as error:
            yield Problem(place, str(error))
