"""Which upstreams an edge asks, and how, as written in edge.yaml.

Holds always: what an upstream's protocol has no use for is refused, not ignored; every limit is a named field with its
unit.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from lachan.address import Address, Port
from lachan.config import ConfigPath, Duration, Settings
from resolver.values import ServerName, UrlPath, with_port

DEFAULT_GROUP = "default"
PORTS = {"udp": 53, "tcp": 53, "dot": 853, "doh": 443}
DOH_PATH = "/dns-query"
GROUPS_MAX = 16
DOMAINS_MAX = 8192
SOCKETS_MAX = 4096
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
        return with_port(data, PORTS)

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


Strategy = Literal["strict", "random", "fastest", "parallel_best"]
Domain = Annotated[
    str,
    AfterValidator(lambda text: text.lower().removesuffix(".")),
    Field(max_length=253, pattern=r"^(?:[a-z0-9_/-]{1,63}\.)*[a-z0-9_/-]{1,63}$"),
]


class Group(Settings):
    """Upstreams that answer for the same names."""

    strategy: Strategy = "strict"


class ForwardedDomains(Settings):
    """Domains that are asked of a group of upstreams and nowhere else, with every name under them."""

    names: tuple[Domain, ...] = Field(min_length=1, max_length=DOMAINS_MAX)
    group: GroupName


class Forwarding(Settings):
    """How upstreams are asked, and which of them for which names."""

    first_try: Duration = Field(default=0.4, ge=0.05, le=5)
    tcp_timeout: Duration = Field(default=3.0, ge=0.1, le=30)
    sockets: int = Field(default=256, ge=1, le=1024, description="connected sockets for each upstream and worker")
    strategy: Strategy = Field(
        default="strict",
        description="of the group `default`: in the order given, at random, the fastest, the two fastest at once",
    )
    groups: dict[GroupName, Group] = Field(default={}, max_length=GROUPS_MAX - 1)
    domains: tuple[ForwardedDomains, ...] = Field(
        default=(), max_length=DOMAINS_MAX, description="the most specific domain decides"
    )
    mixed_case: bool = Field(
        default=True, description="questions in random case, where the upstream keeps it: harder to forge"
    )
    misses_per_upstream: int = Field(
        default=4096, ge=16, le=8192, description="questions on their way to it at once, for each worker"
    )

    def problems(self, upstreams: tuple[Upstream, ...]) -> list[str]:
        """What does not fit the upstreams."""
        have = {upstream.group for upstream in upstreams}
        used = {DEFAULT_GROUP, *(domains.group for domains in self.domains)}
        places = Counter((upstream.label, upstream.group) for upstream in upstreams)
        seen: Counter[str] = Counter(name for domains in self.domains for name in domains.names)
        found = []
        if DEFAULT_GROUP not in have:
            found.append(f"upstreams: none is in the group {DEFAULT_GROUP!r}, which answers for all other names")
        found += [f"upstreams: nothing is forwarded to the group {name!r}" for name in sorted(have - used)]
        found += [
            f"forwarding.domains: no upstream is in the group {name!r}"
            for name in sorted(used - have - {DEFAULT_GROUP})
        ]
        found += [f"forwarding.groups.{name}: no upstream is in it" for name in sorted(self.groups.keys() - have)]
        if DEFAULT_GROUP in self.groups:
            found.append(f"forwarding.groups.{DEFAULT_GROUP}: its strategy is `forwarding.strategy`")
        found += [f"forwarding.domains: {name!r} stands twice" for name, count in sorted(seen.items()) if count > 1]
        found += [f"upstreams: {label} stands twice" for (label, _), count in sorted(places.items()) if count > 1]
        if len(seen) > DOMAINS_MAX:
            found.append(f"forwarding.domains: {DOMAINS_MAX} names in all are the most")
        if self.sockets * sum(upstream.protocol == "udp" for upstream in upstreams) > SOCKETS_MAX:
            found.append(f"forwarding.sockets: {SOCKETS_MAX} sockets over all upstreams are the most")
        return found

    def group_names(self, upstreams: tuple[Upstream, ...]) -> tuple[str, ...]:
        """All groups, the default first: a group's place is its number in the compiled core."""
        return (DEFAULT_GROUP, *sorted({upstream.group for upstream in upstreams} - {DEFAULT_GROUP}))

    def strategy_of(self, group: str) -> Strategy:
        """How the group's upstreams are chosen from."""
        return self.strategy if group == DEFAULT_GROUP else self.groups.get(group, Group()).strategy
