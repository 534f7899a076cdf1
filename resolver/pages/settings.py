"""Settings of the edge's web pages."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from lachan.address import Address, Port
from lachan.config import Duration, Settings
from lachan.labels import MessageError, name_labels
from resolver.values import ServerTls


def _page_name(text: str) -> str:
    try:
        labels = name_labels(text)
    except MessageError as error:
        raise ValueError(str(error)) from error
    if len(labels) < 2:
        raise ValueError("a name of two labels or more is expected")
    return text.lower().removesuffix(".")


def _told(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("printable text without blanks around it is expected")
    return text


PageName = Annotated[str, Field(max_length=180, pattern=r"^[A-Za-z0-9.-]+$"), AfterValidator(_page_name)]
Told = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_told)]
# What a header and an attribute can carry as it stands.
WebAddress = Annotated[str, Field(max_length=512, pattern=r"^https?://[^\s\"'<>\\^`{|}\x00-\x20\x7f-\U0010ffff]+$")]
Contact = Annotated[
    str, Field(max_length=512, pattern=r"^(?:https?://|mailto:|tel:)[^\s\"'<>\\^`{|}\x00-\x20\x7f-\U0010ffff]+$")
]


class PageListen(Settings):
    """Where browsers come to: over HTTP, or over HTTPS with a certificate."""

    address: Address
    port: Port = Field(default=80, description="without it 80, 443 with tls")
    tls: ServerTls | None = None

    @model_validator(mode="before")
    @classmethod
    def _port_of_scheme(cls, data: object) -> object:
        if isinstance(data, dict) and "port" not in data and data.get("tls") is not None:
            return {**data, "port": 443}
        return data

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "http" if self.tls is None else "https"


class PagesSettings(Settings):
    """The block page, and the page that tells a school whether its network is protected."""

    listen: tuple[PageListen, ...] = Field(min_length=1, max_length=16)
    operator: Told = Field(description="who runs this resolver, as people know them")
    operator_url: WebAddress | None = Field(default=None, description="who blocks (RFC 7725 section 4)")
    appeal: Contact | None = Field(default=None, description="where a wrong block is told: https, mailto or tel")
    help: Contact | None = Field(default=None, description="whom a school asks: https, mailto or tel")
    name: PageName | None = Field(
        default=None, description="of the page that schools open; what is below it, this resolver alone answers"
    )
    addresses: tuple[Address, ...] = Field(
        default=(), max_length=16, description="where clients reach `name`; without them, the listeners' own"
    )
    connections: int = Field(default=256, ge=1, le=10_000)
    connections_per_client: int = Field(default=32, ge=1, le=10_000)
    deadline: Duration = Field(default=10.0, ge=1, le=60, description="from a connection's begin to its end")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        problems = []
        places = [(listen.address, listen.port) for listen in self.listen]
        if len(set(places)) != len(places):
            problems.append("listen: an address and port stand once")
        if self.name is not None and not self.reached_at:
            problems.append("addresses: a listener on every address does not tell by which one clients come")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def reached_at(self) -> tuple[str, ...]:
        """Addresses that `name`, and every name below it, has."""
        listened = dict.fromkeys(listen.address for listen in self.listen)
        return self.addresses or tuple(one for one in listened if not ipaddress.ip_address(one).is_unspecified)
