"""Which upstreams an edge asks, and how, as written in edge.yaml.

Holds always: what an upstream's protocol has no use for is refused, not ignored; every limit is a named field with its
unit.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from lachan.config import ConfigPath, Duration, Settings
from resolver.values import Address, Port, ServerName, UrlPath

DEFAULT_GROUP = "default"
PORTS = {"udp": 53, "tcp": 53, "dot": 853, "doh": 443}
DOH_PATH = "/dns-query"
PIN_BYTES = 32


def _pin(text: str) -> str:
    try:
        size = len(base64.b64decode(text, validate=True))
    except binascii.Error:
        size = 0
    if size != PIN_BYTES:
        raise ValueError("a pin is a SHA-256 digest in base64: 44 characters")
    return text


GroupName = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]
Pin = Annotated[str, AfterValidator(_pin)]
"""SHA-256 of a certificate's public key (SubjectPublicKeyInfo, RFC 7858 4.2), base64."""


class Upstream(Settings):
    """A resolver that answers what the list lets pass."""

    address: Address
    protocol: Literal["udp", "tcp", "dot", "doh"] = Field(
        default="udp", description="with udp, what does not fit a datagram is asked again over tcp"
    )
    port: Port = Field(default=53, description="without it 53, 853 for dot, 443 for doh")
    server_name: ServerName | None = Field(
        default=None, description="for dot and doh: that the certificate must hold; without it, the address"
    )
    path: UrlPath | None = Field(default=None, description=f"for doh: without it {DOH_PATH}")
    ca: ConfigPath | None = Field(
        default=None, description="for dot and doh: who may vouch for it; without it or pins, whom the system trusts"
    )
    pins: tuple[Pin, ...] = Field(
        default=(),
        max_length=8,
        description="for dot and doh: public keys, one of which the certificate must hold, whoever vouches for it "
        "unless there is a ca as well",
    )
    group: GroupName = DEFAULT_GROUP

    @model_validator(mode="before")
    @classmethod
    def _port_of_protocol(cls, data: object) -> object:
        if isinstance(data, dict) and "port" not in data and data.get("protocol") in PORTS:
            return {**data, "port": PORTS[data["protocol"]]}
        return data

    @model_validator(mode="after")
    def _whole(self) -> Self:
        encrypted = self.protocol in ("dot", "doh")
        problems = [
            f"{name}: for {'doh' if name == 'path' else 'dot and doh'} only"
            for name, given, useful in (
                ("server_name", self.server_name is not None, encrypted),
                ("path", self.path is not None, self.protocol == "doh"),
                ("ca", self.ca is not None, encrypted),
                ("pins", bool(self.pins), encrypted),
            )
            if given and not useful
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def label(self) -> str:
        """How logs, metrics and commands name it."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.protocol}:{host}:{self.port}"


class Forwarding(Settings):
    """How upstreams are asked."""

    first_try: Duration = Field(default=0.4, ge=0.05, le=5)
    tcp_timeout: Duration = Field(default=3.0, ge=0.1, le=30)
    sockets: int = Field(default=256, ge=1, le=1024, description="connected sockets for each upstream and worker")
