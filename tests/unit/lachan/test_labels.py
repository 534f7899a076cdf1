from __future__ import annotations

import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lachan.labels import MessageError, name_labels, name_text, wire_name

LABELS = st.lists(st.binary(min_size=1, max_size=63), max_size=5).filter(lambda labels: sum(map(len, labels)) < 240)


@given(LABELS)
def test_text_says_the_same_labels_again(labels: list[bytes]) -> None:
    assert name_labels(name_text(labels)) == tuple(labels)


@given(LABELS)
def test_dnspython_reads_our_text_as_the_same_name(labels: list[bytes]) -> None:
    assert dns.name.from_text(name_text(labels)).labels == (*labels, b"")


@given(LABELS)
def test_we_read_dnspythons_text_as_the_same_name(labels: list[bytes]) -> None:
    assert name_labels(dns.name.Name([*labels, b""]).to_text()) == tuple(labels)


def test_a_dot_within_a_label_is_no_separator() -> None:
    assert name_text([b"www.bad", b"example"]) == "www\\.bad.example"


def test_case_is_kept_and_the_root_is_a_dot() -> None:
    assert name_text(name_labels("WwW.ExAmPle.")) == "WwW.ExAmPle"
    assert name_text(()) == "."
    assert name_labels(".") == ()
    assert wire_name("a.example") == b"\1a\7example\0"


@pytest.mark.parametrize(
    "name",
    ["a..example", ".example", "a" * 64, "é.example", "a\\", "a\\25", "a\\999", ".".join(["a" * 63] * 4), "x" * 2000],
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(MessageError):
        name_labels(name)
