"""Templates filled in, and the style that every page carries.

Holds always: a value is escaped unless this package wrote it as markup; a page names no other resource than its icon
and the mark, runs no script, and its style is allowed by its own digest.
"""

from __future__ import annotations

import base64
import hashlib
import html
import string
from collections.abc import Sequence
from functools import cache
from importlib import resources

from resolver.pages.words import Saying


class Markup(str):
    """HTML of our own."""

    __slots__ = ()


@cache
def _text(name: str) -> str:
    return (resources.files("resolver.pages") / "templates" / name).read_text(encoding="utf-8")


def escaped(value: str) -> Markup:
    """Text as it may stand in an element or a quoted attribute."""
    return value if isinstance(value, Markup) else Markup(html.escape(value, quote=True))


def fill(name: str, **values: str) -> Markup:
    """A template with its values in place."""
    return Markup(string.Template(_text(name)).substitute({key: escaped(value) for key, value in values.items()}))


@cache
def style() -> Markup:
    """The style sheet."""
    return Markup(_text("style.css"))


@cache
def style_source() -> str:
    """The style sheet as a content security policy allows it."""
    digest = hashlib.sha256(style().encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def icon() -> bytes:
    """The icon."""
    return _text("shield.svg").encode()


def rows(pairs: Sequence[tuple[str, str]]) -> Markup:
    """A list of what is told and its value; nothing where there is none."""
    if not pairs:
        return Markup("")
    inner = "".join(f"<div><dt>{escaped(term)}</dt><dd>{escaped(value)}</dd></div>" for term, value in pairs)
    return Markup(f"<dl>{inner}</dl>")


def both(saying: Saying) -> Markup:
    """One thing in both languages."""
    if saying.vi == saying.en:
        return escaped(saying.vi)
    return Markup(f'{escaped(saying.vi)} <span lang="en">{escaped(saying.en)}</span>')


def link(address: str, text: str) -> Markup:
    """A link."""
    return Markup(f'<a href="{escaped(address)}">{escaped(text)}</a>')


def code(text: str) -> Markup:
    """Text that is to be typed as it stands."""
    return Markup(f"<code>{escaped(text)}</code>")
