"""What holds of every source file: it is read to its end, and no line of it is dropped in silence."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocklist_sync.artifact.names import NameRefusedError, canonical
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake import formats
from blocklist_sync.central.intake.formats import Format, Refusal

# Pieces that the formats give a meaning, so that lines come close to being right.
PIECES = st.sampled_from(
    [
        *'#;!/|^$@.*()"\\,\t ',
        *("a.example", "b.example.", "*.c.example", "ví-dụ.example", "com", "192.0.2.1", "0.0.0.0", "::", "@@||", "||"),
        *("CNAME", "SOA", "NS", "IN", "CH", "60", "1h", "$ORIGIN", "$TTL", "rpz.test.", "rpz-passthru.", "rpz-drop."),
        *("address=/", "server=/", "local=/", "name", "order", "scope", "subtree", "block", "except", "gambling"),
        *("name,order", "12/QĐ", "\ufeff", "\u200b", "\x00", "x" * 70, "y." * 130),
    ]
)
LINES = st.lists(st.lists(PIECES, max_size=9).map("".join) | st.text(max_size=30), max_size=12)
DATA = LINES.map(lambda lines: "\n".join(lines).encode("utf-8", "surrogatepass")) | st.binary(max_size=200)

# How a line begins that may say nothing, format by format; a zone's own lines and a header say something else.
SILENT = {
    Format.HOSTS: "#",
    Format.PLAIN: "#",
    Format.ADBLOCK: "!#[",
    Format.DNSMASQ: "#",
    Format.RPZ: ";$",
    Format.CSV: "#",
}


def take(data: bytes, form: Format | None) -> tuple[set[int], set[int], list[str]]:
    """Lines that gave names, lines that were refused, names."""
    refused: list[Refusal] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "source"
        path.write_bytes(data)
        found = list(formats.read(path, form, refused.append))
    assert all(refusal.reason and len(refusal.text) <= formats.SHOWN_CHARACTERS for refusal in refused)
    return {read.line for read in found}, {refusal.line for refusal in refused}, [read.listed.name for read in found]


@pytest.mark.parametrize("form", [None, *Format])
@given(data=DATA)
@settings(max_examples=60)
def test_every_file_is_read_to_its_end(form: Format | None, data: bytes) -> None:
    # A CSV file without its header is refused as a whole, with its place.
    with contextlib.suppress(CentralError):
        _, _, names = take(data, form)
        for name in names:
            with contextlib.suppress(NameRefusedError):
                canonical(name)


@pytest.mark.parametrize("form", [form for form in Format if form not in {Format.RPZ, Format.CSV}])
@given(lines=LINES)
@settings(max_examples=60)
def test_a_line_that_says_something_gives_names_or_is_refused(form: Format, lines: list[str]) -> None:
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    listed, refused, _ = take(data, form)
    for number, raw in enumerate(data.split(b"\n"), 1):
        line = raw.decode("utf-8", "backslashreplace").removeprefix("\ufeff" if number == 1 else "").strip()
        silent = not line or line[0] in SILENT[form]
        # What a hosts file says of the machine itself is nobody's.
        assert silent or number in listed or number in refused or form is Format.HOSTS, (number, line)


@given(lines=LINES)
@settings(max_examples=100)
def test_a_record_of_a_zone_gives_a_name_or_is_refused(lines: list[str]) -> None:
    data = "\n".join(line for line in lines if "(" not in line).encode("utf-8", "surrogatepass")
    listed, refused, _ = take(data, Format.RPZ)
    for number, raw in enumerate(data.split(b"\n"), 1):
        line = raw.decode("utf-8", "backslashreplace").removeprefix("\ufeff" if number == 1 else "").strip()
        own = not line or line[0] in ";$" or " SOA" in f" {line.upper()}" or "NS" in line.upper()
        assert own or number in listed or number in refused, (number, line)


@given(rows=st.lists(st.lists(PIECES.filter(lambda p: p not in {",", '"'}), max_size=4).map("".join), max_size=9))
@settings(max_examples=60)
def test_a_row_gives_a_name_or_is_refused(rows: list[str]) -> None:
    rows = [row.replace("\n", "") for row in rows]
    listed, refused, _ = take("\n".join(["name,order", *rows]).encode(), Format.CSV)
    for number, row in enumerate(rows, 2):
        assert not row.strip() or row.lstrip()[0] == "#" or number in listed or number in refused, row
