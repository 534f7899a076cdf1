"""A line checked with real servers on loopback."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compliance_api.probe import handed
from compliance_api.probe.cli import app
from compliance_api.probe.linecheck import CANARY, State, Subject
from compliance_api.probe.settings import CheckLineSettings
from compliance_api.probe.walk import EXIT_CLOSED, EXIT_OPEN, EXIT_UNDECIDED, Walk, document, exit_code, rows
from lachan import message
from lachan.asking import Manner
from lachan.reply import Reply, address_record, respond, txt_record
from tests.support.framing import framed
from tests.support.nameserver import NameServer, nameserver
from tests.support.streams import Trusted, once, streams
from tests.support.tls import Authority

ZONE = "line.example"


def answer(query: bytes, *, canary: bool = True) -> bytes:
    """A resolver that asks the zone's name servers from 127.0.0.1, and knows the signal or not."""
    question = message.parse(query).question
    assert question is not None
    if question.qname == CANARY:
        found = () if canary or question.qtype != message.A else (address_record(CANARY, 60, "192.0.2.7"),)
        return respond(query, Reply(message.NXDOMAIN if canary else message.NOERROR, found))
    return respond(query, Reply(answers=(txt_record(question.qname, 0, b"egress=127.0.0.1"),)))


def datagrams(query: bytes) -> Iterator[bytes]:
    yield answer(query)


@contextlib.asynccontextmanager
async def line() -> AsyncIterator[tuple[NameServer, NameServer]]:
    """The line's own resolver, and another one at 127.0.0.1."""
    async with nameserver(datagrams) as own, nameserver() as other:
        yield own, other


def settings(own: NameServer, other: NameServer, tls_port: int = 1, **changes: object) -> CheckLineSettings:
    given = {
        "zone": ZONE,
        "resolvers": ["127.0.0.1"],
        # Loopback has addresses enough: nobody listens there.
        "silent": ["127.9.9.9"],
        "resolver_name": "dns.example",
        "own_port": own.port,
        "port": other.port,
        "tls_port": tls_port,
    }
    return CheckLineSettings.model_validate(given | changes)


def walk(given: CheckLineSettings, roots: str | None = None) -> Walk:
    return Walk(given, ["127.0.0.1"], Manner(tries=1, timeout=2.0, keep_case=False, roots=roots), random.Random(3))


async def test_a_closed_line() -> None:
    async with line() as (own, other):
        result = await walk(settings(own, other)).run()
        assert len({query for _, query, _ in own.queries}) == 3, "a nonce, and the signal by both types"
    assert [check.state for check in result.checks] == [
        State.WORKS,
        *[State.CLOSED] * 3,
        State.NONE,
        State.SET,
    ]
    assert exit_code(result) == EXIT_CLOSED
    assert rows(result)[0][0].startswith("Máy chủ phân giải của đường truyền")


async def test_an_open_line(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue()
    roots = authority.ca.cert_pem.bytes().decode()
    talk = once(lambda query: framed(answer(query)))
    async with line() as (own, other), streams(talk, Trusted(authority).serving("dot")) as encrypted:
        own.udp = lambda query: [answer(query, canary=False)]
        other.udp, other.tcp = datagrams, lambda query: [framed(answer(query))]
        result = await walk(settings(own, other, encrypted.port), roots).run()
    states = {check.subject: check.state for check in result.checks}
    assert [states[subject] for subject in (Subject.OTHER_UDP_53, Subject.OTHER_TCP_53, Subject.OTHER_TLS_853)] == [
        State.OPEN
    ] * 3
    assert (states[Subject.INTERCEPTION], states[Subject.CANARY]) == (State.NONE, State.NOT_SET)
    assert exit_code(result) == EXIT_OPEN


async def test_somebody_in_between(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("interceptor.example")
    talk = once(lambda query: framed(answer(query)))
    async with line() as (own, other), streams(talk, Trusted(authority).serving("dot")) as encrypted:
        other.udp = datagrams
        given = settings(own, other, encrypted.port, silent=["127.0.0.1"], resolvers=["127.9.9.9"])
        result = await walk(given).run()
    states = {check.subject: check.state for check in result.checks}
    assert (states[Subject.OTHER_UDP_53], states[Subject.OTHER_TLS_853]) == (State.INTERCEPTED, State.INTERCEPTED)
    assert (states[Subject.INTERCEPTION], states[Subject.OTHER_TCP_53]) == (State.INTERCEPTED, State.CLOSED)
    assert exit_code(result) == EXIT_CLOSED


async def test_a_dead_line_is_not_called_closed() -> None:
    async with line() as (own, other):
        own.udp = lambda _: []
        result = await walk(settings(own, other)).run()
    assert exit_code(result) == EXIT_UNDECIDED
    assert document(result)["decided"] is False


def test_the_verbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "probe.yaml"
    base = (
        "service: 127.0.0.1:1\ntls: {ca: a, certificate: b, key: c}\nline: school\nsigning_key: k\nspool: s\n"
        "journal: j\nmeasure: {tries: 1, timeout: 0.2}\nhanded: [{kind: resolv.conf, path: resolv.conf}]\n"
    )
    config.write_text(base)
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.53\n")
    runner = CliRunner()
    told = json.loads(runner.invoke(app, ["resolvers", "-c", str(config)]).output)
    assert told == {"resolvers": ["192.0.2.53"], "source": f"resolv.conf {tmp_path}/resolv.conf"}
    refused = runner.invoke(app, ["check-line", "-c", str(config)])
    assert "check_line: whom to ask is not given" in str(refused.exception)
    config.write_text(base + "check_line: {zone: line.example, resolvers: [127.9.9.8], silent: [127.9.9.9]}\n")
    monkeypatch.setattr(handed, "find", lambda *_: handed.Handed(("127.9.9.7",), "test"))
    shown = runner.invoke(app, ["check-line", "-c", str(config)])
    assert shown.exit_code == EXIT_UNDECIDED
    assert "chưa rõ / unknown" in shown.output
    machine = runner.invoke(app, ["check-line", "-c", str(config), "--json"])
    assert json.loads(machine.output)["resolvers"] == ["127.9.9.7"]
