"""What is done about a finding, by the command's verbs on a real database, and what the ledger has of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from compliance_api.cli import app
from compliance_api.domain.findings.casework import Action, Matter, State, StepError, opening
from compliance_api.domain.findings.finding import FindingKind
from compliance_api.domain.findings.procedure import Procedure, Stage
from compliance_api.domain.law.law import LawBook
from compliance_api.domain.statistics.parameters import Family
from compliance_api.domain.verdicts.period_verdict import PeriodVerdict
from compliance_api.domain.verdicts.tally import DayEvidence, count, judged
from compliance_api.domain.verdicts.verdict import judge
from compliance_api.errors import ComplianceError
from compliance_api.ledger import statement
from compliance_api.storage.findings.cases import Cases
from compliance_api.storage.findings.casework import Casework, UnknownFindingError
from compliance_api.storage.judging.laws import Laws
from compliance_api.storage.judging.periods import Periods
from compliance_api.storage.judging.tallies import Tallies
from compliance_api.storage.ledger.entering import Citations
from compliance_api.usecases.findings.casework import FindingCase
from compliance_api.usecases.judging.count import Counted, DayCounter, Place
from compliance_api.usecases.judging.periods import PeriodJudge
from compliance_api.usecases.ledger.cite import Cited
from compliance_api.verbs import finding as verbs
from compliance_api.verbs import verdict as verdict_verb
from compliance_api.wiring.judging import recompute
from lachan.ledger.leaf import Kind
from tests.support.cases import NOW, course, honest, law, watched
from tests.support.compliance import Authority
from tests.support.people import AN, BINH, CHI, OWN, Signer

DAY = timedelta(days=1)
QUICK = Procedure(answer=Stage(unit="operator", within=1.0))


async def accused(engine: AsyncEngine, **changes: Any) -> str:
    """The id of an over-blocking finding against operator a."""
    await Laws(engine).learn(LawBook(laws=(law(**changes),)), NOW - DAY)
    await Cases(engine).save(judge(honest(course=course(Family.OVER_BLOCKING))), law(**changes).procedure)
    (case,) = await Casework(engine).cases()
    return case.identifier


async def step(
    engine: AsyncEngine, identifier: str, who: Signer, action: Action, at: datetime, **said: Any
) -> FindingCase:
    """The finding after a step that somebody signed as it stands."""
    found = await Casework(engine).detail(identifier)
    assert found is not None
    matter = Matter("a", Procedure(), found.case.steps, True, found.head)
    taken = await Casework(engine).take(identifier, who.deed(matter, action, finding=identifier, **said), at)
    return taken.case


def cited_order(version: int) -> Cited:
    number = "17/2026/QĐ-MẪU"
    return Cited(Kind.ORDER, f"order/{number}", {"number": number, "issuer": "Tòa Mẫu", "version": version})


async def test_every_step_is_kept_and_entered_into_the_ledger(engine: AsyncEngine) -> None:
    identifier = await accused(engine)
    desk = Casework(engine)
    assert dict(await desk.overdue(NOW + 4 * DAY)) == {"inspection": 1}
    # The list's registry told of an order under the number that will be cited, and again afterwards.
    registered = await Citations(engine).save([cited_order(1)])
    for number, (action, who) in enumerate(
        [
            (Action.CONFIRM, AN),
            (Action.NOTIFY, AN),
            (Action.ANSWER, OWN),
            (Action.WITHDRAW, BINH),
            (Action.CLOSE, CHI),
        ],
        1,
    ):
        cited = ("17/2026/QĐ-MẪU", "Tòa Mẫu") if action is Action.ANSWER else None
        case = await step(engine, identifier, who, action, NOW + number * DAY, order=cited)
    assert (case.state, case.turn, len(case.steps)) == (State.CLOSED, None, 6)
    assert dict(await desk.overdue(NOW + 90 * DAY)) == {}
    assert await Citations(engine).save([cited_order(2)]) == registered == 1
    assert await desk.case(identifier) == case
    async with engine.connect() as connection:
        wanted = text("SELECT subject, content FROM ledger_leaves WHERE kind = 'finding' ORDER BY log_index")
        leaves = (await connection.execute(wanted)).all()
    assert {row.subject for row in leaves} == {f"finding/{identifier}"}
    documents = [json.loads(row.content) for row in leaves]
    assert [one["step"]["state"] for one in documents] == [
        "open", "confirmed", "notified", "answered", "withdrawn", "closed",
    ]  # fmt: skip
    assert documents[0]["counts"][0] == ["controls_blocked", 20]
    assert documents[3]["step"]["order"] == {"authority": "Tòa Mẫu", "number": "17/2026/QĐ-MẪU"}
    async with engine.connect() as connection:
        own = "SELECT min(log_index) FROM ledger_leaves WHERE kind = 'order'"
        told = (await connection.execute(text(own))).scalar_one()
    assert documents[3]["step"]["order_leaf"] == case.steps[3].order_leaf == told
    assert "order_leaf" not in documents[2]["step"]
    # What was signed stands in the leaf as it was signed, and says what it follows.
    signed = documents[3]["step"]["signed"]
    statement.check(OWN.key.public.raw, signed["statement"].encode(), bytes.fromhex(signed["signature"]))
    assert statement.parse(signed["statement"].encode()).previous == statement.digest(leaves[2].content)


async def test_a_refused_step_leaves_no_trace(engine: AsyncEngine) -> None:
    identifier = await accused(engine)
    desk = Casework(engine)
    with pytest.raises(StepError):
        await step(engine, identifier, BINH, Action.UPHOLD, NOW)
    nothing = Matter("a", Procedure(), [opening(Procedure(), "a", NOW)], True, "00" * 32)
    with pytest.raises(UnknownFindingError):
        await desk.take("00" * 16, AN.deed(nothing, Action.CONFIRM), NOW)
    case = await desk.case(identifier)
    assert case is not None
    assert (len(case.steps), await desk.case("no hex")) == (1, None)
    async with engine.connect() as connection:
        count = "SELECT count(*) FROM ledger_leaves WHERE kind = 'finding'"
        assert (await connection.execute(text(count))).scalar_one() == 1


async def test_a_law_changed_later_does_not_hurry_an_operator(engine: AsyncEngine) -> None:
    identifier = await accused(engine)
    await Laws(engine).learn(LawBook(laws=(law(procedure=QUICK.model_dump()),)), NOW + DAY)
    await step(engine, identifier, AN, Action.CONFIRM, NOW + 2 * DAY)
    told = await step(engine, identifier, AN, Action.NOTIFY, NOW + 3 * DAY)
    assert told.due_at == NOW + 13 * DAY


async def test_a_law_that_comes_into_force_meanwhile_takes_no_step_from_its_unit(engine: AsyncEngine) -> None:
    """The finding goes on, and is measured by the new law: what was set when it was opened stands."""
    stages = {one: Stage(unit="successor", within=1.0) for one in ("confirm", "notify", "decide", "close")}
    old = law(effective_until=NOW + DAY)
    new = law(id="law-2", effective_from=NOW + DAY, procedure=Procedure(**stages).model_dump())
    await Laws(engine).learn(LawBook(laws=(old, new)), NOW - DAY)
    await Cases(engine).save(judge(honest(course=course(Family.OVER_BLOCKING), law=old)), old.procedure)
    later = honest(course=course(Family.OVER_BLOCKING), law=new, now=NOW + 2 * DAY)
    await Cases(engine).save(judge(later), new.procedure)
    (case,) = [one for one in await Casework(engine).cases() if one.kind is FindingKind.OVER_BLOCKING]
    assert (case.law, case.turn) == ("law-2", "inspection")
    told = await step(engine, case.identifier, AN, Action.CONFIRM, NOW + 2 * DAY)
    assert (told.turn, told.due_at) == ("inspection", NOW + 4 * DAY)


def test_the_verbs_say_where_a_finding_stands(monkeypatch: pytest.MonkeyPatch, url: URL, tmp_path: Path) -> None:
    import asyncio

    from compliance_api.storage.migrate import migrate
    from lachan import postgres

    async def on(asking: Callable[[AsyncEngine], Any]) -> Any:
        made = postgres.engine(url, 2, "test")
        try:
            return await asking(made)
        finally:
            await made.dispose()

    asyncio.run(on(migrate))
    identifier = asyncio.run(on(accused))
    monkeypatch.setattr(verbs, "on_database", lambda _config, _verb, asking: asyncio.run(on(asking)))

    def run(*words: str) -> str:
        result = CliRunner().invoke(
            app, ["finding", words[0], "--config", str(tmp_path), *words[1:]], env={"COLUMNS": "300"}
        )
        assert result.exit_code == 0, result.output + repr(result.exception)
        return result.output

    (shown,) = json.loads(run("list", "--overdue", "--json"))["findings"]
    assert (shown["finding"], shown["state"], shown["turn"], shown["overdue"]) == (
        identifier, "open", "inspection", True,
    )  # fmt: skip
    for who, action in ((AN, Action.CONFIRM), (AN, Action.NOTIFY)):
        asyncio.run(on(lambda made, who=who, action=action: step(made, identifier, who, action, NOW)))  # type: ignore[misc] # bound now
    assert "lachan://so/person/an" in run("show", identifier)
    entered = lambda made: step(made, identifier, AN, Action.ANSWER, NOW, paper=True, order=("17", "Tòa"))  # noqa: E731 - used once
    asyncio.run(on(entered))
    told = run("show", identifier)
    assert "answered (on paper)" in told
    assert "[17, Tòa]" in told
    asyncio.run(on(lambda made: step(made, identifier, BINH, Action.WITHDRAW, NOW)))
    asyncio.run(on(lambda made: step(made, identifier, CHI, Action.CLOSE, NOW)))
    assert json.loads(run("list", "--json"))["findings"] == []
    assert [one["state"] for one in json.loads(run("list", "--all", "--json"))["findings"]] == ["closed"]
    for words in (("list",), ("show", identifier), ("confirm", identifier)):
        result = CliRunner().invoke(app, ["finding", *words])
        assert result.exit_code != 0


async def test_a_verdict_on_a_day_is_stored_once_and_recomputed_byte_for_byte(engine: AsyncEngine) -> None:
    text_ = law()
    place = Place("a", "hcm", ("edge-1",))
    await Laws(engine).learn(LawBook(laws=(text_,)), NOW - DAY)
    day = text_.day.of(NOW).after(-5)
    counter, documents = DayCounter(Tallies(engine)), Periods(engine)
    made = count(DayEvidence(day, watched([f"n{number}.example" for number in range(12)])), [], text_)
    counted = Counted(judged(day, 1, NOW, text_, made), made, 1)
    await Tallies(engine).add(place, counted)
    judge_ = PeriodJudge(counter, Cases(engine), documents)
    laws = await Laws(engine).history()
    assert await judge_.close(place, laws, [counted], NOW) == 1
    assert await judge_.close(place, laws, [counted], NOW + DAY) == 0
    stored = await documents.newest("a", "hcm", day.name)
    assert stored is not None
    assert (await recompute(engine, place, day.name, None)).document == stored
    # What was counted later was not known then.
    earlier = await recompute(engine, place, day.name, NOW - timedelta(seconds=1))
    assert json.loads(earlier.document)["days"] == []
    with pytest.raises(ComplianceError, match="day"):
        await recompute(engine, place, "yesterday", None)
    with pytest.raises(ComplianceError, match="law"):
        await recompute(engine, replace(place, jurisdiction="hcm"), "2019-01-01.5", None)


def test_the_verb_prints_the_document(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    document = json.dumps(
        {"period": {"name": "2026-11"}, "outcome": "compliant", "findings": [], "rates": {
            "under_blocking": {"hits": 0, "asked": 9, "low_millionths": 0, "high_millionths": 336_267}}}
    ).encode()  # fmt: skip
    told = PeriodVerdict(None, None, document)  # type: ignore[arg-type]  # the verb reads the document alone
    monkeypatch.setattr(verdict_verb, "on_database", lambda _config, _verb, _asking: told)
    config = ["--config", str(Authority(tmp_path).configure(1))]
    result = CliRunner().invoke(app, ["verdict", "a", "hcm", "2026-11", "--json", *config])
    assert result.stdout_bytes == document + b"\n"
    assert "33.6267 %" in CliRunner().invoke(app, ["verdict", "a", "hcm", "2026-11", *config]).output
    for moment in ("now", "2026-11-01T00:00:00"):
        wrong = ["verdict", "a", "hcm", "2026-11", "--known-at", moment, *config]
        assert isinstance(CliRunner().invoke(app, wrong).exception, ComplianceError)
