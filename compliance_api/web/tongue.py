"""One language of the console: its words, numbers and times.

Holds always: every text a reader sees goes through a `Tongue`; Vietnamese is the first language and the fallback; times
come in aware and in UTC, and are shown as legal time, Asia/Ho_Chi_Minh. Catalogues are read from their `.po` sources at
start, so that no binary stands in the repository.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale
from babel.core import UnknownLocaleError
from babel.dates import format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.support import NullTranslations, Translations

from compliance_api.domain.parties.organisation import Label

LANGUAGES: Final = ("vi", "en")
LEGAL_ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
MAX_ACCEPTED = 20
REMEMBERED = 4096
"""Numbers and moments whose texts are kept."""

_DATETIME = {"vi": "HH:mm:ss, dd/MM/yyyy", "en": "HH:mm:ss, d MMM yyyy"}
_PARTS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


# A page says the same few numbers and moments again and again, and each costs as much as a row of a table.
@lru_cache(maxsize=REMEMBERED)
def _decimal(value: int, language: str) -> str:
    return str(format_decimal(value, locale=language))


@lru_cache(maxsize=REMEMBERED)
def _percent(share: float, form: str, language: str) -> str:
    return str(format_percent(share, form, locale=language))


@lru_cache(maxsize=REMEMBERED)
def _moment(at: datetime, language: str) -> str:
    return str(format_datetime(at, _DATETIME[language], tzinfo=LEGAL_ZONE, locale=language))


class Tongue:
    """Says things in one language."""

    def __init__(self, language: str, translations: NullTranslations) -> None:
        self.language = language
        self.translations = translations

    def gettext(self, message: str) -> str:
        """The text for an English one."""
        return str(self.translations.gettext(message))

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        """The text for an English one about so many."""
        return str(self.translations.ngettext(singular, plural, number))

    def label(self, label: Label) -> str:
        """The text of a label in this language, in the other where it has none."""
        return (label.vi or label.en) if self.language == "vi" else (label.en or label.vi)

    def number(self, value: int) -> str:
        """An integer with its thousands grouped."""
        return _decimal(value, self.language)

    def percent(self, share: float) -> str:
        """A share of one, to a tenth of a percent."""
        return _percent(share, "#,##0.0 %", self.language)

    def millionths(self, value: int) -> str:
        """A number of millionths in percent, exactly."""
        return _percent(value / 1_000_000, "#,##0.0000 %", self.language)

    def when(self, at: datetime) -> str:
        """A moment in legal time, to the second."""
        return _moment(at, self.language)

    def span(self, seconds: float) -> str:
        """A length of time by its two largest units."""
        left = max(0, int(seconds))
        words = {
            "day": lambda n: self.ngettext("%(num)s day", "%(num)s days", n),
            "hour": lambda n: self.ngettext("%(num)s hour", "%(num)s hours", n),
            "minute": lambda n: self.ngettext("%(num)s minute", "%(num)s minutes", n),
            "second": lambda n: self.ngettext("%(num)s second", "%(num)s seconds", n),
        }
        said: list[str] = []
        for size, unit in _PARTS:
            count, left = divmod(left, size)
            if count:
                said.append(words[unit](count) % {"num": self.number(count)})
            if len(said) == 2 or (said and not count):
                break
        return " ".join(said) or words["second"](0) % {"num": "0"}


def iso(at: datetime) -> str:
    """A moment as machines read it: UTC, to the second or finer where it is finer."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def load() -> Mapping[str, Tongue]:
    """Every language there is, by its code.

    Raises:
        OSError: A catalogue is missing from the installation.
    """
    source = resources.files("compliance_api.web") / "locale" / "vi" / "LC_MESSAGES" / "messages.po"
    catalogue = read_po(io.BytesIO(source.read_bytes()), locale="vi")
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    # English needs no catalogue: the messages' keys are English.
    return {"vi": Tongue("vi", Translations(compiled)), "en": Tongue("en", NullTranslations())}


def choose(asked: str | None, remembered: str | None, accepted: str | None) -> str:
    """The language to answer in.

    Args:
        asked: What the address asks for.
        remembered: What the reader chose before.
        accepted: The Accept-Language header.
    """
    for wish in (asked, remembered):
        if wish in LANGUAGES:
            return wish
    weighed: list[tuple[float, str]] = []
    for item in (accepted or "")[:1000].split(",")[:MAX_ACCEPTED]:
        tag, _, weight = item.partition(";")
        try:
            language = Locale.parse(tag.strip().replace("-", "_")).language
            quality = float(weight.strip().removeprefix("q=")) if weight.strip() else 1.0
        except (ValueError, UnknownLocaleError, TypeError):
            continue
        if language in LANGUAGES and 0 < quality <= 1:
            weighed.append((quality, language))
    # Of equal wishes the first counts.
    return max(weighed, key=lambda one: one[0])[1] if weighed else LANGUAGES[0]
