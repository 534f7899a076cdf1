"""CSV with a header: a name a row, with the number of the order that lists it.

    name,scope,effect,category,order,mandate
    bad.example,subtree,block,gambling,12/QĐ-STTTT,mandated

`name` and `order` must be there. Where another column or its field is empty, the import's own terms hold. Columns may
stand in any order, behind commas, semicolons (as spreadsheets write them where the comma is decimal) or tabs; `#`
begins a comment line.

Holds always: a row is one line; a row whose fields are not as many as the header's is refused.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from blocklist_sync.artifact.categories import CATEGORY_OF_LABEL
from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.central.entries import order_number
from blocklist_sync.central.intake.formats.line import HeaderRefusedError, LineRefusedError, Listed, Reach

COLUMNS = ("name", "scope", "effect", "category", "order", "mandate")
REQUIRED = ("name", "order")
DELIMITERS = (",", ";", "\t")

_REACHES = {"exact": Reach.NAME, "subtree": Reach.BOTH}
_EFFECTS = {"block": False, "except": True}
_MANDATES = {"mandated": True, "profile-only": False}

Value = TypeVar("Value")


def _fields(line: str, delimiter: str) -> list[str]:
    if '"' not in line:
        return [field.strip() for field in line.split(delimiter)]
    try:
        [row] = csv.reader([line], delimiter=delimiter, strict=True)
    except (csv.Error, ValueError) as error:
        raise LineRefusedError("quotation marks that are not in pairs") from error
    return [field.strip() for field in row]


def header(line: str) -> tuple[str, Sequence[str]] | None:
    """Delimiter and columns, where a line is a header of these columns."""
    for delimiter in DELIMITERS:
        try:
            columns = [field.lower() for field in _fields(line, delimiter)]
        except LineRefusedError:
            continue
        if len(columns) > 1 and "name" in columns:
            return delimiter, columns
    return None


@lru_cache(maxsize=4096)
def _order(text: str) -> str:
    try:
        return order_number(text)
    except ArtifactError as error:
        raise LineRefusedError(str(error)) from error


def _told(values: Mapping[str, Value], column: str, field: str) -> Value | None:
    if not field:
        return None
    try:
        return values[field.lower()]
    except KeyError:
        raise LineRefusedError(f"{column}: one of {', '.join(values)}") from None


class OrderList:
    """The rows of one file."""

    def __init__(self) -> None:
        self._delimiter = ""
        self._columns: Sequence[str] = ()

    def parse(self, line: str) -> Sequence[Listed]:
        """The name of a row, and what it says of it.

        Raises:
            HeaderRefusedError: The first row is no header.
            LineRefusedError: A field is none that its column may have.
        """
        if not line.strip() or line.lstrip().startswith("#"):
            return ()
        if not self._columns:
            self._begin(line)
            return ()
        fields = _fields(line, self._delimiter)
        if len(fields) != len(self._columns):
            raise LineRefusedError(f"{len(fields)} fields, the header has {len(self._columns)}")
        row: dict[str, Any] = dict(zip(self._columns, fields, strict=True))
        if not row["name"]:
            raise LineRefusedError("name: empty")
        return (
            Listed(
                row["name"],
                bool(_told(_EFFECTS, "effect", row.get("effect", ""))),
                _told(_REACHES, "scope", row.get("scope", "")),
                _told(CATEGORY_OF_LABEL, "category", row.get("category", "")),
                _order(row["order"]) if row["order"] else None,
                _told(_MANDATES, "mandate", row.get("mandate", "")),
            ),
        )

    def lost(self) -> None:
        """No other row is hurt."""

    def end(self) -> None:
        """A file without rows lists nothing."""

    def _begin(self, line: str) -> None:
        found = header(line)
        if found is None:
            raise HeaderRefusedError(f"the first row names the columns: {', '.join(COLUMNS)}")
        self._delimiter, columns = found
        if unknown := sorted(set(columns) - set(COLUMNS)):
            raise HeaderRefusedError(f"unknown columns: {', '.join(unknown)[:80]}; there are {', '.join(COLUMNS)}")
        if len(set(columns)) != len(columns):
            raise HeaderRefusedError("a column is named twice")
        if missing := [column for column in REQUIRED if column not in columns]:
            raise HeaderRefusedError(f"columns that must be there: {', '.join(missing)}")
        self._columns = columns
