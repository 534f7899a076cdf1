from __future__ import annotations

from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from compliance_api.domain.parties.organisation import Label
from compliance_api.web.tongue import choose, iso, load

WEB = Path(str(resources.files("compliance_api.web")))
NOON = datetime(2025, 1, 31, 17, 30, 5, tzinfo=UTC)


def test_every_text_is_translated_and_no_translation_is_left_over() -> None:
    used = {
        message for _, _, message, _, _ in extract_from_dir(WEB, [("**.py", "python"), ("templates/**.html", "jinja2")])
    }
    assert len(used) > 100
    with (WEB / "locale" / "vi" / "LC_MESSAGES" / "messages.po").open("rb") as file:
        catalogue = read_po(file, locale="vi")
    entries = {message.id: message for message in catalogue if message.id}
    assert set(entries) == used
    for message in entries.values():
        said = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(said), message.id
        assert not message.fuzzy
        # The same values, and none that would be shown raw.
        assert not list(message.check(catalogue)), message.id


def test_english_is_its_own_key_and_vietnamese_is_not() -> None:
    tongues = load()
    assert tongues["en"].gettext("Compliant") == "Compliant"
    assert tongues["vi"].gettext("Compliant") == "Đạt"
    assert tongues["vi"].gettext("Not enough evidence") == "Chưa đủ bằng chứng"
    assert tongues["vi"].ngettext("%(num)s hour", "%(num)s hours", 2) == "%(num)s giờ"


@pytest.mark.parametrize(
    ("language", "when", "number", "percent"),
    [
        ("vi", "00:30:05, 01/02/2025", "1.234.567", "12,3 %"),
        ("en", "00:30:05, 1 Feb 2025", "1,234,567", "12.3 %"),
    ],
)
def test_times_are_legal_times_and_numbers_local(language: str, when: str, number: str, percent: str) -> None:
    tongue = load()[language]
    assert tongue.when(NOON) == when
    assert tongue.number(1_234_567) == number
    assert tongue.percent(0.1234) == percent
    assert iso(NOON) == "2025-01-31T17:30:05Z"


@pytest.mark.parametrize(
    ("seconds", "vi", "en"),
    [
        (-5, "0 giây", "0 seconds"),
        (1, "1 giây", "1 second"),
        (61, "1 phút 1 giây", "1 minute 1 second"),
        (3600, "1 giờ", "1 hour"),
        (3605, "1 giờ", "1 hour"),
        (2 * 86400 + 3 * 3600 + 59, "2 ngày 3 giờ", "2 days 3 hours"),
    ],
)
def test_spans_are_told_by_their_two_largest_units(seconds: float, vi: str, en: str) -> None:
    tongues = load()
    assert (tongues["vi"].span(seconds), tongues["en"].span(seconds)) == (vi, en)


def test_a_label_without_the_language_shows_the_other() -> None:
    tongues = load()
    assert tongues["en"].label(Label("Sở", "")) == "Sở"
    assert tongues["vi"].label(Label("", "Department")) == "Department"


@pytest.mark.parametrize(
    ("asked", "remembered", "accepted", "answer"),
    [
        (None, None, None, "vi"),
        ("en", "vi", "vi", "en"),
        (None, "en", "vi", "en"),
        ("xx", "yy", "de,fr;q=0.5", "vi"),
        (None, None, "en-GB,en;q=0.9", "en"),
        (None, None, "fr, en;q=0.5, vi;q=0.8", "vi"),
        (None, None, "en;q=0.5,vi-VN;q=0.5", "en"),
        (None, None, "en;q=0", "vi"),
        (None, None, ";;;q=,*/*," * 500, "vi"),
        (None, None, "en;q=nan,en;q=9", "vi"),
    ],
)
def test_the_language_is_chosen_by_address_memory_and_preference(
    asked: str | None, remembered: str | None, accepted: str | None, answer: str
) -> None:
    assert choose(asked, remembered, accepted) == answer
