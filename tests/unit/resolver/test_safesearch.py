"""Which names of search engines are aliases of which."""

from __future__ import annotations

from lachan.labels import wire_name
from resolver.safesearch import GOOGLE_NAMES, SafeSearch


def test_each_engine_is_asked_by_its_name_for_children() -> None:
    aliases = SafeSearch().aliases()
    assert aliases["www.google.com"] == aliases["www.google.com.vn"] == "forcesafesearch.google.com"
    assert aliases["www.bing.com"] == "strict.bing.com"
    assert aliases["duckduckgo.com"] == "safe.duckduckgo.com"
    assert aliases["www.youtube.com"] == aliases["youtubei.googleapis.com"] == "restrict.youtube.com"
    assert SafeSearch(youtube="moderate").aliases()["m.youtube.com"] == "restrictmoderate.youtube.com"
    # A target that were an alias itself would go round.
    assert not set(aliases) & set(aliases.values())
    assert all(wire_name(name) == wire_name(name).lower() for name in aliases)


def test_an_engine_may_be_left_alone() -> None:
    assert SafeSearch(google=False, bing=False, duckduckgo=False, youtube="off").aliases() == {}
    assert set(SafeSearch(google=False, youtube="off", bing=False).aliases().values()) == {"safe.duckduckgo.com"}


def test_every_country_of_google_stands_once() -> None:
    assert len(GOOGLE_NAMES) == len(set(GOOGLE_NAMES)) == 187
    assert {"www.google.cat", "www.google.co.uk", "www.google.com.vn"} <= set(GOOGLE_NAMES)
