"""What the demo's list holds, and which names it is measured with. Synthetic: .example and .test only (RFC 2606)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from blocklist_sync.artifact.names import NameRefusedError, canonical
from blocklist_sync.central.intake import formats

LISTS = Path(__file__).parent / "lists"


@dataclass(frozen=True)
class Source:
    """One source file with the order behind it."""

    file: Path
    category: str
    order: str
    mandated: bool = True

    @property
    def reach(self) -> str:
        """Whom it binds, as an option."""
        return "--mandated" if self.mandated else "--profile-only"

    @property
    def scan(self) -> bytes:
        """What stands in for the order's scanned document."""
        return f"VĂN BẢN MẪU (dữ liệu tổng hợp) · SAMPLE ORDER (synthetic)\n{self.order}\n{self.category}\n".encode()


RELEASE_1 = (
    Source(LISTS / "release-1" / "gambling.hosts", "gambling", "01/2026/QĐ-MẪU"),
    Source(LISTS / "release-1" / "scam.txt", "scam", "02/2026/QĐ-MẪU"),
    Source(LISTS / "release-1" / "violence.adblock.txt", "violence", "03/2026/QĐ-MẪU"),
    Source(LISTS / "release-1" / "csam.txt", "csam", "04/2026/QĐ-MẪU"),
    Source(LISTS / "release-1" / "pornography.txt", "pornography", "05/2026/QĐ-MẪU", mandated=False),
)
RELEASE_2 = (
    Source(LISTS / "release-2" / "gambling.txt", "gambling", "06/2026/QĐ-MẪU"),
    Source(LISTS / "release-2" / "drugs.adblock.txt", "drugs", "07/2026/QĐ-MẪU"),
)
USER_ORDER = "99/2026/QĐ-MẪU"

OLD_NAME = "tai-xiu-vang.example"
"""In both releases."""
NEW_NAME = "tai-xiu-online.example"
"""Brought by release 2."""
SCHOOL_NAME = "phim-nguoi-lon.example"
"""For the school profile only."""
CLEAN_NAME = "thu-vien.example"

CONTROLS = (
    CLEAN_NAME,
    "truong-tieu-hoc.example",
    "dai-hoc.example",
    "benh-vien.example",
    "thoi-tiet.example",
    "bao-moi.example",
    "nong-san.example",
    "xe-buyt.example",
    "bao-tang.test",
    "cong-vien.test",
    "lich-tau.test",
    "nau-an.test",
)
"""Never listed, alive."""

NEIGHBOURS = (
    # Below a listed name, and excepted from it.
    "tin-tuc.game-ban-sung.example",
    # Beside and above listed ones.
    "game-ban-co.example",
    "dien-dan.example",
    "chia-se.example",
)
"""Close to listed names and not listed: over-blocking shows here."""


def names(sources: Iterable[Source]) -> tuple[str, ...]:
    """The names that sources block, in canonical form."""
    found = []
    for source in sources:
        for _, listed in formats.read(source.file, None, lambda _: None):
            if not listed.exception:
                try:
                    found.append(canonical(listed.name))
                except NameRefusedError:
                    continue
    return tuple(found)
