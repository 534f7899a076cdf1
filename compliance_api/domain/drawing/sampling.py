"""Which names are asked: fresh ones evenly over categories and ages, some just past their deadline, some again.

Holds always: the draw is a pure function of its inputs and the seed, which are kept, so that anybody can repeat it; a
name is drawn once; only names that bind everybody are drawn, for only those must every resolver block.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from compliance_api.domain.drawing.draws import Draws, derived
from compliance_api.domain.law.law import Law
from compliance_api.domain.observations.observation import Arm
from lachan import canonical

# lachan.compliance.v1.Category: csam and sexual_exploitation.
SENSITIVE_CATEGORIES = frozenset({1, 2})
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class ListedName:
    """A name in force, with the release that brought it."""

    qname: str
    category: int
    order: str
    added_serial: int
    added_at: datetime
    # As edges know it; 0 where it is not known.
    fingerprint: int = 0
    # Its nearest ancestor that nothing on the list blocks; empty where there is none.
    parent: str = ""
    # Drawn because it had been missed: it confirms or clears, and is no draw of the day.
    again: bool = False
    # The types by which it was missed; empty for a name that is drawn.
    types: tuple[int, ...] = ()
    # One of the authority's own.
    control: bool = False
    # No zone that operators take has room for it: whoever goes by one cannot block it.
    unfit: bool = False


@dataclass(frozen=True)
class Release:
    """A published release of the list."""

    serial: int
    records_digest: bytes
    published_at: datetime
    entries: int
    urgent: bool


@dataclass(frozen=True)
class Pool:
    """Names held ready for drawing, as of one release."""

    serial: int
    # Drawn from all names in force.
    names: tuple[ListedName, ...]
    # Drawn from those added lately and due by now.
    recent: tuple[ListedName, ...]
    # Those of both that were due at some moment of the last week: an old list shows in them.
    aged: tuple[ListedName, ...] = ()
    # Names that need not be blocked yet, the authority's own first.
    young: tuple[ListedName, ...] = ()


def due(releases: Iterable[Release], law: Law, now: datetime) -> list[Release]:
    """The releases whose names must be blocked by now, newest first."""
    ordered = sorted(releases, key=lambda release: release.serial, reverse=True)
    return [
        release
        for release in ordered
        if release.published_at + timedelta(seconds=law.block_deadline(urgent=release.urgent)) <= now
    ]


def recent_serials(releases: Sequence[Release]) -> list[int]:
    """Serials after which to ask for recently added names: the last due release alone, then ever further back.

    A release may bring no names at all, or none that are alive, so one is not enough.

    Args:
        releases: Due ones, newest first.
    """
    if not releases:
        return []
    before = [release.serial for release in releases[1:]] or [releases[0].serial - 1]
    return [before[index] for index in (0, 2, 9, 49) if index < len(before)]


def aged(names: Iterable[ListedName], releases: Iterable[Release], law: Law, now: datetime) -> tuple[ListedName, ...]:
    """The names between their deadline and a week after their publication."""
    urgent = {release.serial: release.urgent for release in releases}
    found = {}
    for name in names:
        age = (now - name.added_at).total_seconds()
        if law.block_deadline(urgent=urgent.get(name.added_serial, False)) <= age <= WEEK.total_seconds():
            found[name.qname] = name
    return tuple(found.values())


@dataclass(frozen=True)
class Unlisted:
    """A name never listed."""

    qname: str
    arm: Arm
    # The types by which it was blocked.
    types: tuple[int, ...]


@dataclass(frozen=True)
class Unsettled:
    """Names that spoke against an operator and are neither confirmed nor cleared yet."""

    # Listed ones, missed from so many lines that they may be confirmed; and the others.
    firm: tuple[ListedName, ...] = ()
    loose: tuple[ListedName, ...] = ()
    blocked: tuple[Unlisted, ...] = ()


@dataclass(frozen=True)
class Inputs:
    """All that a draw takes beside its seed."""

    pool: Pool
    # Names that the operator was seen not to block: asked again, so that a miss is settled. Those that several lines
    # missed are confirmed by it, the others seldom.
    again: tuple[ListedName, ...] = ()
    loose: tuple[ListedName, ...] = ()
    # Names never listed that the operator was seen to block.
    blocked: tuple[Unlisted, ...] = ()
    # Names of the pool that were asked of the operator lately: not fresh.
    asked: frozenset[str] = frozenset()
    # Names that time a release, by being blocked or answered again: asked as they stand here. Those that were taken out
    # bear the release that did so, and its time.
    young: tuple[ListedName, ...] = ()
    released: tuple[ListedName, ...] = ()
    # What the plan has of names never listed, and names beside listed ones, as far as nothing on the list reaches them;
    # None in what was kept before they were looked up.
    controls: tuple[str, ...] | None = None
    neighbours: tuple[str, ...] | None = None
    kin: tuple[str, ...] = ()
    # Names that no zone has room for, and the nodes that go by a zone, or may do so.
    unfit: tuple[str, ...] = ()
    zoned: tuple[str, ...] = ()

    def spared(self, node: str) -> frozenset[str]:
        """Names of the list that a node is not asked for, since it cannot know them."""
        return frozenset(self.unfit) if node in self.zoned else frozenset()

    def encode(self) -> bytes:
        """As they are kept."""
        pool = self.pool
        groups = {
            "names": pool.names,
            "recent": pool.recent,
            "aged": pool.aged,
            "again": self.again,
            "loose": self.loose,
            "young": self.young,
            "released": self.released,
        }
        plain = {key: [_plain(one) for one in group] for key, group in groups.items()}
        plain["blocked"] = [[one.qname, one.arm, *one.types] for one in self.blocked]
        unlisted = {"controls": self.controls, "neighbours": self.neighbours, "kin": self.kin}
        zones = {"unfit": self.unfit, "zoned": self.zoned} if self.unfit else {}
        return canonical.encode({"serial": pool.serial, "asked": sorted(self.asked), **plain, **unlisted, **zones})

    @classmethod
    def decode(cls, data: bytes) -> Inputs:
        """From what was kept, by an earlier release too."""
        raw = json.loads(data)
        names, recent, old, again, loose, young, released = (
            tuple(_name(one) for one in raw.get(key, ()))
            for key in ("names", "recent", "aged", "again", "loose", "young", "released")
        )
        return cls(
            Pool(raw["serial"], names, recent, old),
            again,
            loose,
            tuple(Unlisted(qname, Arm(arm), tuple(types)) for qname, arm, *types in raw.get("blocked", ())),
            frozenset(raw["asked"]),
            young,
            released,
            _strings(raw.get("controls")),
            _strings(raw.get("neighbours")),
            tuple(raw.get("kin", ())),
            tuple(raw.get("unfit", ())),
            tuple(raw.get("zoned", ())),
        )


def _strings(raw: list[str] | None) -> tuple[str, ...] | None:
    return tuple(raw) if raw is not None else None


def _plain(name: ListedName) -> list[Any]:
    return [
        name.qname,
        name.category,
        name.order,
        name.added_serial,
        int(name.added_at.timestamp()),
        f"{name.fingerprint:016x}",
        name.parent,
        *name.types,
    ]


def _name(plain: Sequence[Any]) -> ListedName:
    qname, category, order, serial, at, fingerprint, parent, *types = plain
    added_at = datetime.fromtimestamp(at, UTC)
    return ListedName(qname, category, order, serial, added_at, int(fingerprint, 16), parent, types=tuple(types))


def draw(inputs: Inputs, count: int, old: int, seed: bytes) -> list[ListedName]:
    """Draws `count` distinct names and `old` aged ones, or as many as there are, and some that are asked again.

    Half of `count` goes to recent names, what remains to all: fresh ones first, evenly over categories and ages, so
    that every name of a kind has the same chance. Beside them are asked again as many names as there are that several
    lines missed, up to `count`, and of those that few did a quarter of it.
    """
    chosen: dict[str, ListedName] = {}
    total = 0

    def take(label: str, names: Sequence[ListedName], wanted: int, order: Callable[[ListedName], Any]) -> None:
        left = sorted({one.qname: one for one in names if one.qname not in chosen}.values(), key=lambda one: one.qname)
        draws = Draws(derived(seed, label))
        # At random among equals, before they are put in order.
        members = sorted(draws.sample(left, len(left)), key=order)
        for name in draws.evenly(members, min(wanted, total - len(chosen))):
            chosen[name.qname] = replace(name, again=label in {"again", "loose"})

    def fresh(names: Sequence[ListedName]) -> list[ListedName]:
        return [one for one in names if one.qname not in inputs.asked]

    pool = inputs.pool
    total = old
    take("aged", fresh(pool.aged), old, lambda one: one.added_at)
    take("aged, asked before", pool.aged, old, lambda one: one.added_at)
    for label, names, wanted in (("again", inputs.again, count), ("loose", inputs.loose, max(1, count // 4))):
        total = len(chosen) + wanted
        take(label, names, wanted, lambda _: 0)
    total = len(chosen) + count
    recent = (total - len(chosen) + 1) // 2
    take("recent", fresh(pool.recent), recent, _stratum)
    take("all", fresh(pool.names), count, _stratum)
    # A short list is soon asked through.
    recent = (total - len(chosen) + 1) // 2
    take("recent, asked before", pool.recent, recent, _stratum)
    take("all, asked before", pool.names, count, _stratum)
    take("recent, all that is left", pool.recent, count, _stratum)
    return list(chosen.values())


def steadily(names: Iterable[ListedName], count: int, seed: bytes) -> tuple[ListedName, ...]:
    """So many names, the same ones all day by the day's seed: those that come meanwhile displace few of them.

    What is to be confirmed has to be asked more than once. Releases take turns, the newest first.
    """
    ranked: dict[int, list[ListedName]] = {}
    for one in sorted(names, key=lambda one: derived(seed, one.qname)):
        ranked.setdefault(one.added_serial, []).append(one)
    places = [(place, -serial, one) for serial, group in ranked.items() for place, one in enumerate(group)]
    return tuple(one for _, _, one in sorted(places, key=lambda place: place[:2])[:count])


def _stratum(name: ListedName) -> tuple[int, datetime]:
    return name.category, name.added_at


def parents(names: Iterable[ListedName], count: int, seed: bytes) -> list[str]:
    """Ancestors of listed names that nothing on the list blocks: over-blocking shows in them."""
    found = sorted({one.parent for one in names if one.parent and one.category not in SENSITIVE_CATEGORIES})
    return Draws(derived(seed, "parents")).sample(found, count)
