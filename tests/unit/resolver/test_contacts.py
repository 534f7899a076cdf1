"""Whom to turn to: a call or a letter, in JSON that fits."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from resolver._hot.contacts import Contacts
from resolver.contacts import ContactSettings, texts

OWN = ContactSettings(organisation="Công ty Viễn thông Mẫu", uris=("tel:+8418001234", "mailto:chan@operator-a.example"))


def test_each_kind_of_block_has_its_words() -> None:
    made = texts(OWN)
    told = {code: json.loads(text) for code, text in made.items()}
    assert made.keys() == {15, 16, 17}
    for one in told.values():
        assert one["c"] == list(OWN.uris)
        assert (one["o"], one["l"]) == (OWN.organisation, "vi")
    assert len({one["j"] for one in told.values()}) == 3
    # A sub-error is registered for what the operator blocks alone.
    assert [code for code, one in told.items() if "s" in one] == [15]


def test_the_longest_fits_beside_an_answer() -> None:
    longest = ContactSettings(organisation="ộ" * 60, uris=tuple(f"mailto:{letter * 88}@a.b" for letter in "abcd"))
    assert max(map(len, texts(longest).values())) <= 1024
    assert Contacts(texts(longest))


@pytest.mark.parametrize(
    ("organisation", "uris"),
    [
        ("", ["tel:1"]),
        ("a\nb", ["tel:1"]),
        ("A", []),
        ("A", ["https://operator-a.example/"]),
        ("A", ["tel:1 2"]),
        ("A", ['tel:"1"']),
        ("A", ["tel:" + "1" * 100]),
        ("A", ["tel:1"] * 5),
    ],
)
def test_what_is_no_contact_is_refused(organisation: str, uris: list[str]) -> None:
    with pytest.raises(ValidationError):
        ContactSettings.model_validate({"organisation": organisation, "uris": uris})
