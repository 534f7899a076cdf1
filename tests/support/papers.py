"""Certificates of this system's own kind, issued for a test."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from compliance_api.identity import pki
from lachan.tls import TlsFiles


class Papers:
    """A certificate authority below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        pki.init(folder / "ca", datetime.now(UTC))

    def of(self, uri: str) -> TlsFiles:
        """A party's certificate, good for loopback and `list.example`; the same each time."""
        out = self._folder / uri.rpartition("://")[2].replace("/", "-")
        if not out.exists():
            now = datetime.now(UTC)
            names = ["localhost", "list.example"]
            pki.issue(self._folder / "ca", out, uri, now, dns=names, addresses=["127.0.0.1"], days=2)
        return TlsFiles(ca=out / "ca.pem", certificate=out / "certificate.pem", key=out / "key.pem")
