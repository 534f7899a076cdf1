from __future__ import annotations

from datetime import timedelta

from compliance_api.domain.law.law_history import LawHistory, content, read
from compliance_api.domain.law.timeline import Timeline
from tests.support.cases import NOW, law

DAY = timedelta(days=1)
MILD = law(list={"block_deadline": "2d", "unblock_deadline": "2d", "maximum_age": "2d"})
STRICT = law(id="law-2", effective_from=NOW, list={"block_deadline": "1h", "unblock_deadline": "1h"})


def followed() -> Timeline:
    """The mild text until now, the strict one from now on; both known in time."""
    ends = MILD.model_copy(update={"effective_until": NOW})
    texts = (
        read("law-1", 1, NOW - 30 * DAY, content(MILD)),
        read("law-1", 2, NOW - DAY, content(ends)),
        read("law-2", 1, NOW - DAY, content(STRICT)),
    )
    return LawHistory(texts).timeline("hcm")


def test_each_moment_has_the_law_that_was_in_force_and_known() -> None:
    found = followed()
    assert found.at(NOW - 31 * DAY) is None
    assert [(one.id if (one := found.at(NOW + shift)) else None) for shift in (-2 * DAY, -DAY, 0 * DAY, 9 * DAY)] == [
        "law-1", "law-1", "law-2", "law-2",
    ]  # fmt: skip
    assert found.first(NOW - 40 * DAY, NOW) is found.at(NOW - 30 * DAY)
    assert found.first(NOW - 40 * DAY, NOW - 35 * DAY) is None
    assert [(start, end, one.id) for start, end, one in found.within(NOW - DAY, NOW + DAY)] == [
        (NOW - DAY, NOW, "law-1"),
        (NOW, NOW + DAY, "law-2"),
    ]


def test_a_deadline_is_that_of_the_publication() -> None:
    found = followed()
    assert found.block_due(NOW - DAY, urgent=False) == NOW + DAY
    assert found.block_due(NOW, urgent=False) == NOW + timedelta(hours=1)
    assert found.unblock_due(NOW - timedelta(minutes=1)) == NOW - timedelta(minutes=1) + 2 * DAY


def test_what_was_published_without_a_law_is_due_by_the_first_one() -> None:
    found = followed()
    assert found.block_due(NOW - 99 * DAY, urgent=False) == NOW - 28 * DAY
    ended = Timeline.of(MILD.model_copy(update={"effective_until": NOW}))
    assert ended.block_due(NOW, urgent=False) is None
    assert ended.unblock_due(NOW) is None


def test_a_text_that_reaches_back_begins_when_it_is_known() -> None:
    """The abusive authority: a stricter text of the same name, in force since last year by its own word."""
    texts = (read("law-1", 1, NOW - 30 * DAY, content(MILD)), read("law-1", 2, NOW, content(law(period="2h"))))
    history = LawHistory(texts)
    found = history.timeline("hcm")
    assert [(span.since, span.until) for span in found.spans] == [(NOW - 30 * DAY, NOW), (NOW, None)]
    assert found.at(NOW - timedelta(seconds=1)) == MILD
    assert history.version_of(found.spans[1].law).backdated
    assert history.until(NOW - DAY).timeline("hcm").at(NOW + DAY) == MILD


def test_while_texts_contradict_each_other_there_is_no_law() -> None:
    texts = (read("law-1", 1, NOW - DAY, content(MILD)), read("other", 1, NOW, content(law(id="other"))))
    found = LawHistory(texts).timeline("hcm")
    assert (found.at(NOW - DAY), found.at(NOW)) == (MILD, None)
