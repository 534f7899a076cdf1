from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from compliance_api.domain.law.law_history import LawHistory, content, read
from compliance_api.domain.statistics.parameters import Family
from compliance_api.domain.verdicts.tally import DayEvidence, count
from compliance_api.usecases.judging.count import MAX_DAYS, Counted, DayCounter
from tests.support.cases import START, counted, law, watched
from tests.support.days import LONG_AGO, PLACE, TallyDrawer, known

# An hour long, closed half an hour later, counted again within two.
LAW = law(
    day={"length": "1h", "closes_after": "30m", "recounted_within": "2h"},
    burden={"bad": {"minimum_names": 10}, "days": {"accusation": 20}},
)
NAMES = [f"n{number}.example" for number in range(12)]
END = START + timedelta(hours=1)
CLOSED = END + timedelta(minutes=30)


async def test_a_day_is_counted_once_it_is_closed_and_not_again() -> None:
    drawer = TallyDrawer(watched(NAMES))
    counter = DayCounter(drawer)
    assert await counter.count(PLACE, known(LAW), CLOSED - timedelta(seconds=1)) == []
    (one,) = await counter.count(PLACE, known(LAW), CLOSED)
    assert (one.judged.day.start, one.judged.version, one.judged.counts["names"]) == (START, 1, 12)
    assert await counter.count(PLACE, known(LAW), CLOSED + timedelta(minutes=10)) == []
    assert len(drawer.stored) == 1


async def test_what_is_handed_in_late_has_the_day_counted_again_and_the_old_count_kept() -> None:
    drawer = TallyDrawer(watched(NAMES[:11]))
    counter = DayCounter(drawer)
    await counter.count(PLACE, known(LAW), CLOSED)
    drawer.sightings += watched(NAMES[11:])
    (again,) = await counter.count(PLACE, known(LAW), CLOSED + timedelta(hours=1))
    assert (again.judged.version, again.judged.counts["names"]) == (2, 12)
    assert [one.judged.counts["names"] for one in drawer.stored] == [11, 12]
    drawer.sightings += watched(["late.example"])
    assert await counter.count(PLACE, known(LAW), END + timedelta(hours=2, seconds=1)) == []


async def test_late_observations_acquit_and_never_accuse() -> None:
    """Three confirmed misses of twelve; then it turns out that most eyes saw them blocked."""
    missed = watched(NAMES[:3], blocked=False)
    drawer = TallyDrawer([*missed, *watched(NAMES[3:])])
    counter = DayCounter(drawer)
    await counter.count(PLACE, known(LAW), CLOSED)
    first = await counter.course(PLACE, known(LAW), LAW, CLOSED)
    assert first.steps[-1].bad[Family.FILTERING] is True
    assert first.standing.values[0] > 0
    cleared = [
        replace(one, vantage_point=f"other-{eye}", reference=f"{one.reference}/{eye}")
        for one in watched(NAMES[:3])
        for eye in range(4)
    ]
    drawer.sightings += cleared
    await counter.count(PLACE, known(LAW), CLOSED + timedelta(hours=1))
    after = await counter.course(PLACE, known(LAW), LAW, CLOSED)
    assert after.steps[-1].bad[Family.FILTERING] is False
    as_it_was = await counter.course(PLACE, known(LAW), LAW, CLOSED, known_at=CLOSED)
    assert as_it_was == first


async def test_a_day_is_judged_by_the_law_as_it_was_known_at_its_end() -> None:
    stricter = replace_law(effective_from=LONG_AGO)
    backdated = LawHistory(
        (
            read("law-1", 1, LONG_AGO, content(LAW)),
            read("law-1", 2, END + timedelta(minutes=1), content(stricter)),
        )
    )
    drawer = TallyDrawer([*watched(NAMES[:3], blocked=False), *watched(NAMES[3:])])
    (one,) = await DayCounter(drawer).count(PLACE, backdated, CLOSED)
    assert (one.law_version, one.judged.bad[Family.FILTERING]) == (1, True)


def replace_law(**changes: object) -> object:
    return law(day={"length": "1h", "closes_after": "30m"}, minimum={"names": 99}, **changes)


async def test_where_no_law_was_known_nothing_is_counted() -> None:
    drawer = TallyDrawer(watched(NAMES))
    assert await DayCounter(drawer).count(PLACE, known(LAW, since=END + timedelta(seconds=1)), CLOSED) == []


async def test_after_a_long_stop_days_are_caught_up_with_a_bounded_number_at_a_time() -> None:
    text = law(day={"length": "1m", "closes_after": "0s", "recounted_within": "1m"})
    drawer = TallyDrawer(
        [replace(one, asked_at=START + timedelta(minutes=minute)) for minute in range(30) for one in watched(NAMES[:1])]
    )
    counter = DayCounter(drawer)
    first = await counter.count(PLACE, known(text), END)
    assert [one.judged.day.start for one in first] == [START + timedelta(minutes=minute) for minute in range(MAX_DAYS)]
    assert len(await counter.count(PLACE, known(text), END)) == 30 - MAX_DAYS
    assert await counter.count(PLACE, known(text), END) == []


async def test_a_legal_year_of_short_days_ends_after_its_horizon() -> None:
    text = law(
        day={"length": "1m", "closes_after": "0s", "recounted_within": "1m"},
        burden={"bad": {"minimum_names": 1}, "days": {"accusation": 20, "horizon": 7}},
    )
    drawer = TallyDrawer(
        [replace(one, asked_at=START + timedelta(minutes=minute)) for minute in range(9) for one in watched(NAMES[:1])]
    )
    counter = DayCounter(drawer)
    await counter.count(PLACE, known(text), END)
    whole = await counter.course(PLACE, known(text), text, START + timedelta(minutes=7))
    assert whole.standing.days == 7
    anew = await counter.course(PLACE, known(text), text, START + timedelta(minutes=9))
    assert anew.standing.days == 2


async def test_a_new_year_knows_what_the_old_one_left_open() -> None:
    """Accused on the last day of a legal year of seven short days; nothing is known of the first one of the next."""
    text = law(
        day={"length": "1m", "closes_after": "0s", "recounted_within": "1m"},
        burden={"bad": {"minimum_names": 1}, "days": {"accusation": 20, "horizon": 7}},
    )
    drawer = TallyDrawer()
    for number in range(9):
        bad = (Family.FILTERING,) if number in range(3, 7) else ()
        day = text.day.of(START).after(number)
        one = replace(counted(1, *bad, known=number != 7), day=day, process=text.burden.process_rule())
        drawer.stored.append(Counted(one, count(DayEvidence(day, ()), [], text), 1))
    counter, laws = DayCounter(drawer), known(text)
    old = await counter.course(PLACE, laws, text, START + timedelta(minutes=7))
    assert old.accused() == (Family.FILTERING,)
    new = await counter.course(PLACE, laws, text, START + timedelta(minutes=8))
    assert (new.accused(), new.carried, new.standing.days) == ((), {Family.FILTERING}, 1)
    good = await counter.course(PLACE, laws, text, START + timedelta(minutes=9))
    assert (good.carried, good.doubted) == (frozenset(), frozenset())
