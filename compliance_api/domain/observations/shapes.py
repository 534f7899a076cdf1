"""What a block looks like, as data: texts with a version, each in force until the next.

Holds always: nothing here is code but the closed set of shapes; which addresses, names and codes have a shape, and
which shapes are a block, is said by the text in force when the question was asked, and the version is kept with what
was seen. Block pages come and go faster than laws do, so these texts are a file of their own; they enter the ledger
like laws.
"""

from __future__ import annotations

import ipaddress
import json
from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from compliance_api.domain.observations.observation import BlockShapes, Shape
from compliance_api.domain.observations.strange import UnknownPages
from lachan.config import Duration, Settings
from lachan.errors import LachanError

BLOCKING = (
    Shape.NXDOMAIN,
    Shape.NODATA,
    Shape.NULL_ADDRESS,
    Shape.SINKHOLE,
    Shape.FORGED_CNAME,
    Shape.EDE,
)
"""Shapes that may be a block by themselves; silence and refusal need the rest of their session, failure never is
one."""


class ShapesError(LachanError):
    """No text is in force where one is needed."""


def _network(value: str) -> str:
    return str(ipaddress.ip_network(value))


def _suffix(value: str) -> str:
    labels = value.lower().removesuffix(".").split(".")
    if not value.isascii() or len(value) > 253 or not all(1 <= len(label) <= 63 for label in labels):
        raise ValueError("a domain name in A-labels is expected")
    return ".".join(labels)


def _blocking(value: Shape) -> Shape:
    if value not in BLOCKING:
        raise ValueError(f"{value} is no block by itself; such are {', '.join(BLOCKING)}")
    return value


Network = Annotated[str, AfterValidator(_network)]
Suffix = Annotated[str, AfterValidator(_suffix)]


class BlockPage(Settings):
    """Where somebody sends those who ask for a blocked name."""

    # Whose resolvers; empty means everybody's.
    operators: Annotated[tuple[str, ...], Field(max_length=200)] = ()
    addresses: Annotated[tuple[Network, ...], Field(max_length=1000)] = ()
    # Targets of forged CNAMEs: these names and all below them.
    names: Annotated[tuple[Suffix, ...], Field(max_length=1000)] = ()
    # Where it is known from: an operator's letter, an earlier finding.
    source: Annotated[str, Field(max_length=500)] = ""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.addresses and not self.names:
            raise ValueError("neither addresses nor names")
        return self


class ShapeText(Settings):
    """One version, in force from a moment on until another is; what a version says never changes."""

    version: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]
    effective_from: AwareDatetime
    # Addresses at which nobody is: RFC 1122 3.2.1.3, RFC 4291 2.5.
    null_addresses: Annotated[tuple[Network, ...], Field(max_length=100)] = (
        "0.0.0.0/32",
        "127.0.0.0/8",
        "::/128",
        "::1/128",
    )
    pages: Annotated[tuple[BlockPage, ...], Field(max_length=1000)] = ()
    # RFC 8914 codes: 15 Blocked, 16 Censored, 17 Filtered.
    extended_errors: Annotated[tuple[Annotated[int, Field(ge=0, le=65535)], ...], Field(max_length=20)] = (15, 16, 17)
    # Which of them are a block.
    blocking: Annotated[tuple[Annotated[Shape, AfterValidator(_blocking)], ...], Field(min_length=1)] = BLOCKING
    # Tries after which a silence counts.
    tries: Annotated[int, Field(ge=1, le=10)] = 3
    # Reference resolvers that must see a name alive, and how long after the question they may have been asked.
    references: Annotated[int, Field(ge=1, le=2)] = 2
    reference_within: Annotated[Duration, Field(gt=0, le=3600)] = 600.0

    def shapes(self, operator: str) -> BlockShapes:
        """As the domain's pure functions take it, for one operator's resolvers."""
        pages = [page for page in self.pages if not page.operators or operator in page.operators]
        return BlockShapes(
            self.version,
            tuple(ipaddress.ip_network(one) for one in self.null_addresses),
            tuple(ipaddress.ip_network(one) for page in pages for one in page.addresses),
            frozenset(name for page in pages for name in page.names),
            frozenset(self.extended_errors),
            frozenset(self.blocking),
            self.tries,
            self.references,
            self.reference_within,
        )

    def content(self) -> bytes:
        """The text in the one form that enters the ledger: sorted keys, no blanks."""
        values = self.model_dump(mode="json")
        return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class ShapeBook(Settings):
    """All texts that were, are and will be in force."""

    shapes: Annotated[tuple[ShapeText, ...], Field(min_length=1, max_length=1000)]
    # Which addresses are put before those who decide what a block page is; it decides nothing by itself.
    unknown_pages: UnknownPages = UnknownPages()

    @model_validator(mode="after")
    def _one_at_a_time(self) -> Self:
        for what in ("version", "effective_from"):
            given = [getattr(text, what) for text in self.shapes]
            if twice := [one for one in given if given.count(one) > 1]:
                raise ValueError(f"{what} {twice[0]} is given twice")
        return self

    def in_force(self, at: datetime) -> ShapeText:
        """The text of a moment.

        Raises:
            ShapesError: There is none.
        """
        begun = [text for text in self.shapes if text.effective_from <= at]
        if not begun:
            raise ShapesError(f"no text says what a block looks like at {at.isoformat()}")
        return max(begun, key=lambda text: text.effective_from)


DEFAULT = ShapeBook(shapes=(ShapeText(version="default-1", effective_from=datetime(1970, 1, 1, tzinfo=UTC)),))
"""In force where an authority keeps no texts of its own: no page is known by it."""
