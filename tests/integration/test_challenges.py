"""Challenges from end to end: edges count, commit and report, probes ask, nodes open, and the slope tells who lies.

The packet path, its counters, commitments, reports, openings, gRPC over mutual TLS, PostgreSQL and the name server of
nonces are real. What is not is the clock: an hour and the day after it pass at a word.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import URL, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_api.domain.challenges.challenge import State
from compliance_api.domain.challenges.outcome import ChallengeOutcome
from compliance_api.domain.law.law import LawBook
from compliance_api.domain.legal_day import LegalDay
from compliance_api.domain.observations import nonce
from compliance_api.domain.observations.observation import Path as Way
from compliance_api.domain.observations.unreported import Withheld
from compliance_api.nonces.server import write
from compliance_api.storage.challenges.counters import Counters
from compliance_api.storage.judging import evidence
from compliance_api.storage.judging.evidence import Extent
from compliance_api.storage.judging.laws import Laws
from compliance_api.storage.packs.withheld import withheld
from compliance_api.storage.probing.assignments import Assignments
from compliance_api.storage.probing.paths import Paths
from compliance_api.storage.probing.seeds import Seeds
from compliance_api.storage.tables import assignments, challenge_sums, challenges, ledger_leaves, reports, seeds
from compliance_api.usecases.challenges.copies import CopyFinder
from lachan import message, postgres, tls
from lachan.compliance.v1 import challenge_service_pb2 as opening
from lachan.compliance.v1 import probe_service_pb2 as probes
from lachan.compliance.v1 import report_service_pb2
from lachan.compliance.v1.probe_service_pb2_grpc import ProbeServiceStub
from lachan.compliance.v1.report_service_pb2_grpc import ReportServiceStub
from lachan.signing import OPENING
from lachan.tls import Role
from resolver.authority import OpeningSettings
from resolver.opener import Opener
from resolver.openings import HOUR
from tests.support.challenging import (
    HOUR_AT,
    LAW,
    PROBES,
    ZONE,
    Lie,
    ask,
    challenged,
    everybody,
    honest,
    invented,
    opened,
    over_udp,
    probe,
    reported,
    scaled,
    scene,
    stored,
)
from tests.support.compliance import COMMAND, Authority


def by_operator(found: Sequence[ChallengeOutcome]) -> dict[str, ChallengeOutcome]:
    return {one.operator: one for one in found}


async def test_the_slope_is_1_for_honest_0_for_invented_and_k_for_scaled_counters(
    databases: postgres.Server, tmp_path: Path
) -> None:
    lies: dict[str, Lie] = {"honest": honest, "invented": invented, "scaled": scaled}
    async with scene(databases, tmp_path, lies) as made:
        await challenged(made)
        assert {one.path for one in await made.paths.decide(made.clock())} == {Way.VERIFIED}
        await reported(made)
        # Nobody is told what is challenged before the day is over.
        made.clock.now = HOUR_AT + timedelta(hours=24)
        for operator in made.edges:
            assert not await made.challenger.pending(tls.Identity(operator, Role.NODE, "edge-1"), made.clock())
        assert await opened(made) == dict.fromkeys(lies, 1)
        assert await opened(made) == dict.fromkeys(lies, 0)
        found = by_operator(await made.summary.evaluate(made.clock()))
        slopes = {name: float(one.slope.beta) for name, one in found.items() if one.slope is not None}
        # Within what the law tolerates: even who invents may know which entries were asked at all, and keep to these.
        assert slopes == pytest.approx({"honest": 1, "invented": 0, "scaled": 3}, abs=0.25)
        assert {name: one.accuses for name, one in found.items()} == {
            "honest": False,
            "invented": True,
            "scaled": True,
        }
        assert {(len(one.opened), one.closed, one.absent, one.sums.n) for one in found.values()} == {(1, 0, 0, 30)}
        async with made.engine.connect() as connection:
            kept = (await connection.execute(select(challenge_sums))).all()
            assert {row.operator_id: row.content["accuses"] for row in kept} == {
                n: one.accuses for n, one in found.items()
            }
            await everything_is_in_the_ledger(connection)


async def everything_is_in_the_ledger(connection: Any) -> None:
    """Seeds before draws, draws before assignments, openings last."""
    kinds = {row.log_index: row.kind for row in await connection.execute(select(ledger_leaves))}
    drawn = (await connection.execute(select(challenges))).all()
    given = (await connection.execute(select(assignments))).all()
    committed = max(row.committed_index for row in await connection.execute(select(seeds)))
    for row in drawn:
        assert kinds[row.log_index] == "challenge"
        assert kinds[row.opening_index] == "opening"
        assert row.state == State.OPENED
    assert committed < max(row.log_index for row in drawn) < min(row.log_index for row in given)
    assert {kinds[row.log_index] for row in given} == {"assignment"}
    assert max(row.log_index for row in given) < min(row.opening_index for row in drawn)


async def test_a_line_that_is_intercepted_spoils_no_honest_slope(databases: postgres.Server, tmp_path: Path) -> None:
    async with scene(databases, tmp_path, {"honest": honest}) as made:
        await made.assigner.draw_rounds(made.clock())
        await made.challenger.draw(made.clock())
        await probe(made, "p1")
        await probe(made, "p2", elsewhere=True)
        await write(made.desk, Paths(made.engine))
        ways = {one.path for one in await made.paths.decide(made.clock())}
        assert ways == {Way.VERIFIED, Way.ELSEWHERE}
        await reported(made)
        await opened(made)
        (found,) = await made.summary.evaluate(made.clock())
        assert found.slope is not None
        assert float(found.slope.beta) == pytest.approx(1, abs=0.1)


async def test_who_spoils_the_way_of_its_sessions_is_challenged_all_the_same(
    databases: postgres.Server, tmp_path: Path
) -> None:
    lies: dict[str, Lie] = {"honest": honest, "invented": invented}
    async with scene(databases, tmp_path, lies) as made:
        await made.assigner.draw_rounds(made.clock())
        await made.challenger.draw(made.clock())
        for name in PROBES:
            await probe(made, name, spoilt=True)
        await write(made.desk, Paths(made.engine))
        assert {one.path for one in await made.paths.decide(made.clock())} == {Way.ELSEWHERE}
        await reported(made)
        await opened(made)
        found = by_operator(await made.summary.evaluate(made.clock()))
        # As many lines as all there are explain nothing: what the node answered counts, and what it made up shows.
        assert {name: one.accuses for name, one in found.items()} == {"honest": False, "invented": True}


async def test_who_refuses_lies_or_says_nothing_is_found_out(databases: postgres.Server, tmp_path: Path) -> None:
    lies: dict[str, Lie] = {"refuses": honest, "lies": honest, "silent": honest, "uncommitted": honest}
    async with scene(databases, tmp_path, lies) as made:
        await made.challenger.draw(made.clock())
        uncommitted = made.edges.pop("uncommitted")
        del made.nodes["uncommitted"]
        await reported(made)
        made.clock.now = HOUR_AT + timedelta(hours=25, minutes=1)
        uncommitted.openings.root_before(int(HOUR_AT.timestamp()) + HOUR)
        for name, edge in ({**made.edges, "uncommitted": uncommitted}).items():
            caller = tls.Identity(name, Role.NODE, "edge-1")
            (asked,) = await made.challenger.pending(caller, made.clock())
            request = opening.OpeningRequest(
                challenge_id=asked.challenge_id, hour=int(asked.hour.timestamp()), fingerprints=asked.fingerprints
            )
            if name == "silent":
                continue
            if name == "refuses":
                small = OpeningSettings(clients=5)
                signed = Opener(edge.openings, edge.told, edge.key, name, "edge-1", small).open(
                    request, made.clock.now.timestamp()
                )
            else:
                signed = edge.opener().open(request, made.clock.now.timestamp())
            if name == "lies":
                told = opening.Opening.FromString(signed.opening)
                told.rules[3].count += 7
                data = told.SerializeToString(deterministic=True)
                signed = opening.SignedOpening(
                    opening=data, signature=edge.key.sign(OPENING, data), key_id=edge.key.public.key_id
                )
            expected = {"refuses": State.REFUSED, "lies": State.UNTRUE, "uncommitted": State.UNCOMMITTED}
            assert await made.challenger.submit(caller, signed, made.clock()) is expected[name]
            # Another word on it is refused, and changes nothing.
            stranger = tls.Identity("silent", Role.NODE, "edge-1")
            with pytest.raises(Exception, match="key_id"):
                await made.challenger.submit(stranger, signed, made.clock())
        made.clock.now = HOUR_AT + timedelta(days=4)
        found = by_operator(await made.summary.evaluate(made.clock()))
        assert {name: [state for state, count in one.states.items() if count] for name, one in found.items()} == {
            "refuses": [State.REFUSED],
            "lies": [State.UNTRUE],
            "silent": [State.UNANSWERED],
            "uncommitted": [State.UNCOMMITTED],
        }
        async with made.engine.connect() as connection:
            reasons = {row.operator_id: row.reason for row in await connection.execute(select(challenges))}
        assert reasons["refuses"] == "OPENING_REFUSAL_FEW_CLIENTS"
        assert "not what was committed to" in reasons["lies"]
        assert "no report" in reasons["uncommitted"]


async def test_a_node_is_challenged_where_it_is_large_by_its_operator_s_word_or_its_own(
    databases: postgres.Server, tmp_path: Path
) -> None:
    async with scene(databases, tmp_path, dict.fromkeys(("small", "large", "log"), honest), clients=10_000) as made:
        assert await made.challenger.draw(made.clock()) == 0
        # 10,000 clients of 20,000 queries a day ask 694,444 in five minutes.
        rows = [
            stored(operator, "edge-1", made.clock() - timedelta(minutes=5 * place), 12 * number + place, queries)
            for number, (operator, queries) in enumerate({"small": 690_000, "large": 700_000, "log": 700_000}.items())
            for place in range(12)
        ]
        for row in rows:
            # Who counts from another resolver's log measures no queries: what is there counts for nothing.
            row["queries_measured"] = row["operator_id"] != "log"
        async with made.engine.begin() as connection:
            await connection.execute(insert(reports), rows)
        assert await made.challenger.draw(made.clock()) == 1
        async with made.engine.connect() as connection:
            assert [row.operator_id for row in await connection.execute(select(challenges))] == ["large"]


async def test_what_was_committed_to_after_the_question_binds_nobody_and_who_is_early_is_asked_again(
    databases: postgres.Server, tmp_path: Path
) -> None:
    async with scene(databases, tmp_path, {"late": honest}) as made:
        await made.challenger.draw(made.clock())
        edge, caller = made.edges["late"], tls.Identity("late", Role.NODE, "edge-1")
        made.clock.now = HOUR_AT + timedelta(hours=25, minutes=1)
        (asked,) = await made.challenger.pending(caller, made.clock())
        request = opening.OpeningRequest(
            challenge_id=asked.challenge_id, hour=int(asked.hour.timestamp()), fingerprints=asked.fingerprints
        )
        # A clock that is slow: it may come again until the deadline.
        early = edge.opener().open(request, (HOUR_AT + timedelta(hours=24)).timestamp())
        assert await made.challenger.submit(caller, early, made.clock()) is State.DRAWN
        assert await made.challenger.pending(caller, made.clock()) == [asked]
        # It knows by now which names are challenged.
        async with made.channel("late", Role.NODE, "edge-1") as connection:
            reports_ = report_service_pb2.SubmitReportsRequest(reports=[edge.report()])
            await ReportServiceStub(connection).SubmitReports(reports_, timeout=20)
        signed = edge.opener().open(request, made.clock.now.timestamp())
        assert await made.challenger.submit(caller, signed, made.clock()) is State.UNCOMMITTED
        (found,) = await made.summary.evaluate(made.clock())
        assert (found.states[State.UNCOMMITTED], found.accuses) == (1, False)


async def test_what_a_probe_keeps_to_itself_is_counted(databases: postgres.Server, tmp_path: Path) -> None:
    async with scene(databases, tmp_path, {"honest": honest}) as made:
        await made.assigner.draw_rounds(made.clock())
        await probe(made, "p1")
        async with made.channel("so", Role.PROBE, "p2") as connection:
            stub = ProbeServiceStub(connection)
            given = await stub.TakeAssignment(probes.TakeAssignmentRequest(), timeout=20)
            questions = given.assignment.questions
            kept = [await ask(made, "p2", given.assignment, questions[0], elsewhere=False)]
            await stub.SubmitObservations(probes.SubmitObservationsRequest(observations=kept), timeout=20)
        async with made.channel("so", Role.PROBE, "p3") as connection:
            await ProbeServiceStub(connection).TakeAssignment(probes.TakeAssignmentRequest(), timeout=20)
        store = Assignments(made.engine)
        count = len(questions)
        after = made.clock() + timedelta(hours=1, seconds=1)
        assert [
            (one.probe, one.assignments, one.silent, one.questions, one.unreported)
            for one in await store.unreported(HOUR_AT, after)
        ] == [("so/p1", 1, 0, count, 0), ("so/p2", 1, 0, count, count - 1), ("so/p3", 1, 1, count, count)]
        # Nobody is late while there is time.
        assert await store.unreported(HOUR_AT, after - timedelta(seconds=2)) == []
        # It stands beside what the others saw: in the verdict's coverage, by who kept the probe then.
        async with made.engine.connect() as connection:
            extent = Extent("honest", ("edge-1",), HOUR_AT, after)
            held_back = await withheld(connection, extent)
            assert held_back == [Withheld("so", 3 * count, 2 * count - 1)]
            assert await withheld(connection, Extent("honest", ("edge-2",), HOUR_AT, after)) == []
            before = replace(extent, known_at=HOUR_AT)
            assert await withheld(connection, before) == [Withheld("so", 3 * count, 3 * count)]


async def test_copied_counters_are_found_a_day_at_a_time(databases: postgres.Server, tmp_path: Path) -> None:
    async with scene(databases, tmp_path, {"honest": honest, "copies": honest, "other": honest}) as made:
        laws = LawBook.model_validate({"laws": [LAW]})
        registry = everybody(made.edges, made.keys)
        day = LegalDay.of(made.clock()).after(-1)
        rng = np.random.default_rng(4)
        first = rng.poisson(3000, 288).tolist()
        own = rng.poisson(3000, 288).tolist()
        series = {
            ("honest", "edge-1"): first,
            ("copies", "edge-1"): first,
            ("other", "edge-1"): own,
            ("other", "edge-2"): own,
        }
        async with made.engine.begin() as connection:
            rows = [
                stored(*node, day.start + timedelta(minutes=5 * place), place, count)
                for node, counts in series.items()
                for place, count in enumerate(counts)
            ]
            await connection.execute(insert(reports), rows)
        await Laws(made.engine).learn(laws, day.start)
        finder = CopyFinder(registry, Laws(made.engine), Counters(made.engine))
        found = await finder.look(day.end + timedelta(hours=7))
        assert [(one.operator, one.other_operator, one.lag) for one in found] == [
            ("copies", "honest", 0),
            ("other", "other", 0),
        ]
        assert await finder.look(day.end + timedelta(hours=8)) == []
        assert await Counters(made.engine).found("honest", day.start, day.end) == found[:1]
        # Which of two operators was copied nobody knows; who copies his own node did it, wherever that is judged.
        async with made.engine.connect() as connection:
            for operator, nodes, accused in (
                ("honest", ["edge-1"], []),
                ("copies", ["edge-1"], []),
                ("other", ["edge-1"], ["edge-2"]),
                ("other", ["edge-2"], ["edge-2"]),
            ):
                told = await evidence.copied(connection, Extent(operator, nodes, day.start, day.end))
                assert [one.node for one in told] == accused


async def test_the_verbs(engine: AsyncEngine, url: URL, tmp_path: Path) -> None:
    del engine  # it has made the tables
    (tmp_path / "nonce.key").write_text("5a" * 32)
    authority = Authority(
        tmp_path,
        settings={
            "database": {"url": url.render_as_string(hide_password=False)},
            "nonces": {
                "zone": ZONE,
                "key": "nonce.key",
                "listen": "127.0.0.1:0",
                "nameserver": f"ns.{ZONE}",
                "address": "192.0.2.9",
            },
        },
    )
    config = str(authority.configure(1))

    async def run(verb: str, *options: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *COMMAND, verb, "--config", config, *options, stdout=asyncio.subprocess.PIPE
        )

    counted = await run("unreported", "--json")
    out, _ = await counted.communicate()
    assert json.loads(out) == {"probes": []}
    pages = await asyncio.create_subprocess_exec(
        *COMMAND, "observations", "pages", "--config", config, "--json", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await pages.communicate()
    assert json.loads(out) == {"pages": []}
    zone = await run("nonce-zone")
    assert zone.stdout is not None
    ready = (await asyncio.wait_for(zone.stdout.readline(), 60)).decode()
    made = nonce.make(b"\x5a" * 32, bytes(nonce.RANDOM_BYTES))
    response = await over_udp(int(ready.rpartition(":")[2]), message.query(f"{made}.{ZONE}", message.A, id=4))
    assert message.parse(response).answers[0].data == "192.0.2.9"
    zone.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(zone.wait(), 60) == 0


async def test_a_seed_is_committed_to_before_it_is_given_out_and_told_when_it_tells_nothing_more(
    engine: AsyncEngine,
) -> None:
    day = date(2026, 6, 1)
    given = await asyncio.gather(*(Seeds(engine).seed("a", "rounds", day) for _ in range(5)))
    assert len(set(given)) == 1
    assert await Seeds(engine).seed("b", "rounds", day) != given[0]
    assert await Seeds(engine).tell(day + timedelta(days=8)) == 0
    assert await Seeds(engine).tell(day + timedelta(days=9)) == 2
    assert await Seeds(engine).tell(day + timedelta(days=9)) == 0
    async with engine.connect() as connection:
        rows = await connection.execute(
            select(ledger_leaves).where(ledger_leaves.c.subject == "seed/a/rounds/2026-06-01").order_by("log_index")
        )
        committed, told = (json.loads(row.content) for row in rows)
    assert committed["sha256"] == hashlib.sha256(given[0]).hexdigest()
    assert "seed" not in committed
    assert told["seed"] == given[0].hex()
