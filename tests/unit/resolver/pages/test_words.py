"""What things are called: everything has words in both languages."""

from __future__ import annotations

import pytest

from blocklist_sync.artifact.categories import Category
from resolver.pages import words
from resolver.pages.words import Saying


def test_each_category_has_words_of_its_own() -> None:
    assert set(words.CATEGORIES) == set(Category)
    assert len({said.vi for said in words.CATEGORIES.values()}) == len(Category)
    assert all(said.vi != said.en and said.vi and said.en for said in words.CATEGORIES.values())


@pytest.mark.parametrize(
    ("seconds", "vi", "en"),
    [
        (-5, "vừa xong", "just now"),
        (0, "vừa xong", "just now"),
        (1, "1 giây trước", "1 second ago"),
        (59, "59 giây trước", "59 seconds ago"),
        (60, "1 phút trước", "1 minute ago"),
        (7200, "2 giờ trước", "2 hours ago"),
        (86400 * 3 + 5, "3 ngày trước", "3 days ago"),
    ],
)
def test_an_age_is_told_by_its_largest_unit(seconds: int, vi: str, en: str) -> None:
    assert words.ago(seconds) == Saying(vi, en)


def test_a_profile_that_the_operator_invented_keeps_its_name() -> None:
    assert words.profile("library") == Saying("library", "library")
    assert words.profile(None) == words.NOBODY
    assert "trường học" in words.by_profile("school").vi
