"""Names that look like others: one text for all that a reader takes for the same (after Unicode TS 39's skeletons).

Holds always: names that are spelled alike have one skeleton. Of the letters that look like plain Latin ones, it knows
those of Cyrillic, Greek and Armenian that registries take, Latin ones with marks, and the digits 0 and 1.
"""

from __future__ import annotations

import unicodedata

import idna

_ALIKE = str.maketrans(
    {
        # Cyrillic
        "а": "a", "в": "b", "с": "c", "ԁ": "d", "е": "e", "ё": "e", "һ": "h", "н": "h", "і": "i", "ї": "i", "ј": "j",
        "к": "k", "ӏ": "l", "м": "m", "п": "n", "о": "o", "р": "p", "ԛ": "q", "г": "r", "ѕ": "s", "т": "t", "у": "y",
        "ү": "y", "ѵ": "v", "ԝ": "w", "х": "x", "ь": "b", "з": "3",
        # Greek
        "α": "a", "β": "b", "ε": "e", "η": "n", "ι": "i", "κ": "k", "ν": "v", "ο": "o", "ρ": "p", "σ": "o", "τ": "t",
        "υ": "u", "χ": "x", "γ": "y", "ω": "w",
        # Armenian
        "ա": "w", "հ": "h", "ո": "n", "ս": "u", "օ": "o", "զ": "q", "ց": "g", "ք": "p", "յ": "j",
        # Latin that has no decomposition
        "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ł": "l", "ø": "o", "œ": "oe", "æ": "ae", "ß": "b", "ŧ": "t", "þ": "p",
        "ɑ": "a", "ɡ": "g", "ɩ": "i", "ʋ": "v", "ə": "e", "ƙ": "k", "ƴ": "y", "ƅ": "b",
        # Digits
        "0": "o", "1": "l",
    }
)  # fmt: skip


def skeleton(name: str) -> str:
    """What a canonical name looks like, in ASCII as far as that is known."""
    labels = []
    for label in name.split("."):
        text = label
        if label.startswith("xn--"):
            try:
                text = idna.ulabel(label)
            except idna.IDNAError:
                text = label
        decomposed = unicodedata.normalize("NFKD", text.translate(_ALIKE))
        labels.append("".join(c for c in decomposed if not unicodedata.combining(c)).translate(_ALIKE))
    return ".".join(labels)
