from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from compliance_api.domain.law.law import LawBook, LawError
from compliance_api.domain.law.law_history import LawHistory, changes, content, read
from tests.support.cases import law
from tests.support.days import known

YEAR = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_text_reads_back_as_it_was() -> None:
    text = law(burden={"bad": {"missed": {"rate": 0.001, "level": 0.01, "least": 3}}})
    assert read("law-1", 1, YEAR, content(text)).law == text
    assert content(law(id="law-1")) == content(law(id="law-1"))


def test_only_what_is_new_changed_or_gone_becomes_known() -> None:
    first = LawBook(laws=(law(jurisdictions=["hcm"]), law(id="law-2", jurisdictions=["hue"])))
    (one, two) = changes(LawHistory(), first, YEAR)
    history = LawHistory((one, two))
    assert (one.version, two.version, one.backdated) == (1, 1, True)
    assert changes(history, first, YEAR + DAY) == []
    second = LawBook(laws=(law(jurisdictions=["hcm"], period="2h"),))
    (changed, gone) = changes(history, second, YEAR + DAY)
    assert (changed.name, changed.version, gone.name, gone.version, gone.law) == ("law-1", 2, "law-2", 2, None)
    after = LawHistory((*history.versions, changed, gone))
    assert after.in_force("hue", YEAR, YEAR)[1].id == "law-2"
    with pytest.raises(LawError, match="no law"):
        after.in_force("hue", YEAR, YEAR + DAY)
    assert changes(after, second, YEAR + 2 * DAY) == []


def test_a_backdated_text_changes_nothing_that_was_judged_before_it_was_known() -> None:
    """The authority that finds its law too mild, and writes last month's anew."""
    mild = law(effective_from=YEAR - 300 * DAY)
    strict = law(effective_from=YEAR - 30 * DAY, minimum={"names": 1})
    history = LawHistory((read("law-1", 1, YEAR - 299 * DAY, content(mild)), read("law-1", 2, YEAR, content(strict))))
    version, text = history.in_force("hcm", YEAR - 10 * DAY, YEAR - 9 * DAY)
    assert (version.version, text) == (1, mild)
    version, text = history.in_force("hcm", YEAR + DAY, YEAR + 2 * DAY)
    assert (version.version, text, version.backdated) == (2, strict, True)
    assert history.version("law-1", 1).digest != history.version("law-1", 2).digest


def test_texts_that_claim_the_same_time_and_place_judge_nobody() -> None:
    both = known(law(), law(id="law-2"))
    with pytest.raises(LawError, match="law-1, law-2"):
        both.in_force("hcm", YEAR, YEAR)


def test_a_version_that_is_not_there_is_an_error() -> None:
    with pytest.raises(LawError, match="no version 9"):
        known(law()).version("law-1", 9)
