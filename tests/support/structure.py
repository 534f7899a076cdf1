"""What a page is without its style: its order, its languages, what it links and fetches, and what is wrong with it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Self

VOID = {"meta", "link", "br", "img", "input", "path"}
# What would run, send or frame something.
FORBIDDEN = {"script", "iframe", "form", "embed", "base", "audio", "video", "input", "button"}
FETCHES = {"img": "src", "link": "href", "object": "data"}
HIDDEN = {"style", "title"}


@dataclass
class Structure(HTMLParser):
    """A page, read once."""

    root_language: str | None = None
    title: str = ""
    headings: list[tuple[int, str]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    said: list[tuple[tuple[str, ...], tuple[str, ...], str]] = field(default_factory=list)
    """Elements and languages around each piece of text."""
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[tuple[str, str | None]] = []
        self._ids: set[str] = set()

    @classmethod
    def of(cls, page: str) -> Self:
        """A page's text, read."""
        made = cls()
        made.feed(page)
        made.close()
        made.wrong += [f"<{tag}> is not closed" for tag, _ in made._open]
        return made

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fields = dict(attrs)
        if len(fields) != len(attrs):
            self.wrong.append(f"<{tag}> has an attribute twice")
        self.wrong += [f"<{tag} {name}>" for name in fields if name.startswith("on") or name == "style"]
        if tag in FORBIDDEN:
            self.wrong.append(f"<{tag}>")
        if tag == "html":
            self.root_language = fields.get("lang")
        if tag == "a":
            self.links.append(fields.get("href") or "")
        if tag in FETCHES:
            self.fetched.append(fields.get(FETCHES[tag]) or "")
        if tag[0] == "h" and tag[1:].isdigit():
            self.headings.append((int(tag[1:]), ""))
        if (identifier := fields.get("id")) is not None:
            self.wrong += [f"#{identifier} stands twice"] if identifier in self._ids else []
            self._ids.add(identifier)
        if tag not in VOID:
            self._open.append((tag, fields.get("lang")))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self._open or self._open[-1][0] != tag:
            self.wrong.append(f"</{tag}> closes {self._open[-1][0] if self._open else 'nothing'}")
        else:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if not text:
            return
        tags = tuple(tag for tag, _ in self._open)
        self.said.append((tags, tuple(language for _, language in self._open[1:] if language), text))
        if "title" in tags:
            self.title += text
        if tags and tags[-1][0] == "h" and tags[-1][1:].isdigit():
            level, before = self.headings[-1]
            self.headings[-1] = (level, f"{before} {text}".strip())

    @property
    def text(self) -> str:
        """Everything that is read out."""
        pieces = (text for tags, _, text in self.said if not HIDDEN & set(tags))
        return " ".join(pieces).replace(" ,", ",")

    def inside(self, element: str) -> str:
        """The text in elements of a kind."""
        return " ".join(text for tags, _, text in self.said if element in tags)

    def languages_of(self, text: str) -> list[str]:
        """Languages that are declared around a text, below the page's own."""
        return [language for _, languages, said in self.said if text in said for language in languages]

    def problems(self) -> list[str]:
        """What is wrong: markup that does not nest, what runs or frames, a gap in headings, a page without a title."""
        found = list(self.wrong)
        if [level for level, _ in self.headings].count(1) != 1:
            found.append("not one first heading")
        levels = [level for level, _ in self.headings]
        found += [f"h{level} follows h{before}" for before, level in itertools.pairwise(levels) if level > before + 1]
        if not self.title or self.root_language is None:
            found.append("no title, or no language")
        return found
