from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.law.law import LawBook, LawError
from lachan import config
from tests.support.cases import NOW, TEXT, law


def book(*laws: dict[str, Any]) -> LawBook:
    base = {"authority": TEXT, "default_citation": TEXT, "effective_from": datetime(2020, 1, 1, tzinfo=UTC)}
    return LawBook.model_validate({"laws": [{**base, **one} for one in laws]})


def test_a_moment_is_judged_by_the_law_then_in_force() -> None:
    change = datetime(2025, 7, 1, tzinfo=UTC)
    laws = book({"id": "old", "effective_until": change}, {"id": "new", "effective_from": change})
    assert laws.in_force("hcm", change - timedelta(seconds=1)).id == "old"
    assert laws.in_force("hcm", change).id == "new"
    with pytest.raises(LawError, match="no law is in force"):
        laws.in_force("hcm", datetime(2019, 1, 1, tzinfo=UTC))


def test_a_place_may_have_a_law_of_its_own() -> None:
    laws = book({"id": "south", "jurisdictions": ["hcm"]}, {"id": "north", "jurisdictions": ["hanoi"]})
    assert laws.in_force("hanoi", NOW).id == "north"
    with pytest.raises(LawError):
        laws.in_force("hue", NOW)


@pytest.mark.parametrize(
    ("laws", "message"),
    [
        ([{"id": "x"}, {"id": "x"}], "two laws are called x"),
        ([{"id": "x"}, {"id": "y", "jurisdictions": ["hcm"]}], "same time and place"),
        ([{"id": "x", "effective_until": datetime(2019, 1, 1, tzinfo=UTC)}], "not after effective_from"),
        ([], "at least 1"),
    ],
)
def test_a_contradictory_book_is_refused(laws: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        book(*laws)


def test_an_urgent_release_has_the_shorter_deadline() -> None:
    assert law().block_deadline(urgent=True) == 60
    assert law().block_deadline(urgent=False) == 300
    late = law(list={"block_deadline": "1m", "urgent_block_deadline": "1h"})
    assert late.block_deadline(urgent=True) == 60, "urgent is never slower"


def test_every_finding_has_a_clause() -> None:
    special = law(citations={"stale_list": {"vi": "Điều 7", "en": "Article 7"}})
    assert special.clause(FindingKind.STALE_LIST).citation.en == "Article 7"
    assert special.clause(FindingKind.EQUIVOCATION).citation.en == "Article 1"


def test_it_is_read_from_yaml() -> None:
    text = json.dumps(
        {
            "laws": [
                {
                    "id": "qd-1",
                    "effective_from": "2025-03-01T00:00:00+07:00",
                    "authority": TEXT,
                    "default_citation": TEXT,
                    "list": {"block_deadline": "24h"},
                }
            ]
        }
    )
    read = config.parse(text, LawBook).laws[0]
    assert read.effective_from == datetime(2025, 2, 28, 17, tzinfo=UTC)
