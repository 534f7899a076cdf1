from __future__ import annotations

import pytest

from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.intake.download import Body, SourceError
from blocklist_sync.central.intake.formats import Format
from blocklist_sync.central.intake.imports import Counts
from blocklist_sync.central.intake.sources import (
    RETRY_SECONDS,
    SourceSettings,
    SourcesSettings,
    check_body,
    due_at,
    weigh,
)
from lachan import config

SOURCE = SourceSettings(name="a", url="https://lists.example/a", category="gambling", order="12/QĐ", exact=True)


def test_a_source_says_how_its_names_are_listed() -> None:
    terms = SOURCE.terms
    assert (terms.category, terms.order, terms.scope, terms.form) == (Category.GAMBLING, "12/QĐ", Scope.EXACT, None)
    assert SOURCE.place == "https://lists.example/a"
    assert SourceSettings(name="b", file="/srv/b.csv", format=Format.CSV).place == "/srv/b.csv"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{name: a, category: scam, order: '1'}", "either url or file"),
        ("{name: a, url: 'https://x.example', file: b, category: scam, order: '1'}", "either url or file"),
        ("{name: a, url: 'http://x.example', category: scam, order: '1'}", "https://HOST"),
        ("{name: a, url: 'https://me:pw@x.example', category: scam, order: '1'}", "https://HOST"),
        ("{name: a, file: b, category: scam}", "category and order"),
        ("{name: a, file: b, category: cats, order: '1'}", "one of csam"),
        ("{name: a, file: b, category: csam, order: '1', mandated: false}", "csam is mandated"),
        ("{name: a, file: b, category: scam, order: ' '}", "an order's number"),
        ("{name: a/b, file: b, category: scam, order: '1'}", "name"),
        ("{name: a, file: b, category: scam, order: '1', interval: 1s}", "interval"),
    ],
)
def test_unfit_sources_are_refused(text: str, reason: str) -> None:
    with pytest.raises(config.ConfigError, match=reason):
        config.parse(text, SourceSettings)


def test_no_name_stands_twice() -> None:
    one = "{name: a, file: b, category: scam, order: '1'}"
    with pytest.raises(config.ConfigError, match="a: a name given twice"):
        config.parse(f"{{folder: f, release: r, sources: [{one}, {one}]}}", SourcesSettings)


def test_when_a_source_is_due() -> None:
    assert due_at(86_400, 0, 0) == 0
    assert due_at(86_400, 1000, 0) == 87_400
    # Sooner after a failure, then ever later, never later than usual.
    waits = [due_at(86_400, 1000, failures) - 1000 for failures in (1, 2, 3, 30)]
    assert waits == [RETRY_SECONDS, 2 * RETRY_SECONDS, 4 * RETRY_SECONDS, 86_400]


@pytest.mark.parametrize(
    ("head", "content_type", "failure"),
    [
        (b"", "", "empty"),
        (b" \r\n\t", "text/plain", "empty"),
        (b"\n<!DOCTYPE html><html>", "text/plain", "page"),
        (b"\xef\xbb\xbf<html lang=vi>", "", "page"),
        (b"a.example\n", "text/html; charset=utf-8", "page"),
        (b"\x1f\x8b\x08", "application/gzip", "compressed"),
        (b"PK\x03\x04", "", "compressed"),
        (b"# a list\n", "text/plain", None),
        (b"||a.example^\n", "application/octet-stream", None),
    ],
)
def test_what_begins_as_no_list_is_refused(head: bytes, content_type: str, failure: str | None) -> None:
    body = Body("", len(head), head, content_type)
    if failure is None:
        check_body(body)
        return
    with pytest.raises(SourceError) as error:
        check_body(body)
    assert error.value.failure.value == failure


@pytest.mark.parametrize(
    ("names", "refused", "before", "failure"),
    [
        (0, 3, 0, "empty"),
        (100, 0, 0, None),
        (80, 0, 100, None),
        (79, 0, 100, "shrunk"),
        (500, 0, 100, None),
        (95, 5, 0, None),
        (94, 6, 0, "refused-lines"),
    ],
)
def test_a_list_is_weighed(names: int, refused: int, before: int, failure: str | None) -> None:
    lines = Counts(names, names, refused, {"a reason": refused} if refused else {})
    if failure is None:
        weigh(lines, before, SOURCE)
        return
    with pytest.raises(SourceError) as error:
        weigh(lines, before, SOURCE)
    assert error.value.failure.value == failure
