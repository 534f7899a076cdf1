from __future__ import annotations

import os
from datetime import timedelta

import pytest

from compliance_api.domain.parties.organisation import Label, Organisation, OrganisationKind, Probe, Registry
from compliance_api.errors import InvalidRequestError, NotPermittedError
from compliance_api.probe import linecheck as line
from compliance_api.probe.walk import told
from compliance_api.usecases.probing.linecheck import MAX_CHECK_BYTES, STATES, CheckedLine, LineChecks
from compliance_api.usecases.probing.stamp import Stamper
from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.line import Line
from lachan.signing import LINE_CHECK, OBSERVATION, SigningKey
from lachan.tls import Identity, Role
from tests.support.cases import NOW

KEY, SERVICE = SigningKey.generate(), SigningKey.generate()
CALLER = Identity("school-1", Role.PROBE, "p1")
PROBE = Probe("p1", KEY.public.raw, "v", "n", "school-1", Line.SCHOOL)
NAME = Label("x", "x")
SCHOOL = Organisation("school-1", OrganisationKind.SCHOOL, NAME, frozenset(), probes=(PROBE,))
STATE = line.State
FOUND = {
    line.Subject.OWN_RESOLVER: STATE.WORKS,
    line.Subject.OTHER_UDP_53: STATE.OPEN,
    line.Subject.OTHER_TCP_53: STATE.CLOSED,
    line.Subject.OTHER_TLS_853: STATE.INTERCEPTED,
    line.Subject.INTERCEPTION: STATE.INTERCEPTED,
    line.Subject.CANARY: STATE.SET,
}


class Store:
    def __init__(self) -> None:
        self.kept: dict[bytes, CheckedLine] = {}

    async def add(self, checked: CheckedLine) -> bool:
        new = checked.digest not in self.kept
        self.kept[checked.digest] = checked
        return new


def stamp(seconds: int = -60, commitments: tuple[bytes, ...] = (), key: SigningKey = SERVICE) -> pb.Stamp:
    return Stamper(key, lambda: NOW + timedelta(seconds=seconds), os.urandom).take(commitments)[0]


def result(**changes: line.State) -> line.Result:
    # What stands at whom it was seen is the probe's own matter.
    seen = FOUND | {line.Subject(name): state for name, state in changes.items()}
    return line.Result(tuple(line.Check(one, state, ("192.0.2.77 (edge-1)",)) for one, state in seen.items()))


def signed(check: pb.LineCheck, key: SigningKey = KEY, domain: bytes = LINE_CHECK) -> pb.SignedLineCheck:
    data = check.SerializeToString(deterministic=True)
    return pb.SignedLineCheck(check=data, signature=key.sign(domain, data), key_id=key.public.key_id)


def checks(store: Store) -> LineChecks:
    return LineChecks(Registry((), (SCHOOL,)), store, Stamper(SERVICE, lambda: NOW, os.urandom), lambda: NOW)


async def test_what_a_line_lets_through_is_kept_as_signed_and_tells_no_address() -> None:
    store = Store()
    given = pb.SignedLineCheck.FromString(told(result(), stamp(), KEY))
    assert await checks(store).submit(CALLER, given)
    assert not await checks(store).submit(CALLER, given)
    (kept,) = store.kept.values()
    assert kept.states == {subject.value: state.value for subject, state in FOUND.items()}
    assert (kept.open, kept.probe, kept.organisation) == (True, PROBE, "school-1")
    assert (kept.began_at, kept.received_at) == (NOW - timedelta(seconds=60), NOW)
    assert (kept.check, kept.signature, kept.key_id) == (given.check, given.signature, given.key_id)
    assert b"192.0.2" not in kept.check
    shut = result(other_udp_53=STATE.CLOSED)
    await checks(store).submit(CALLER, pb.SignedLineCheck.FromString(told(shut, stamp(), KEY)))
    assert [one.open for one in store.kept.values()] == [True, False]


def test_every_state_that_a_check_finds_can_be_told() -> None:
    for subject in line.Subject:
        assert pb.LineSubject.Value(f"LINE_SUBJECT_{subject.upper()}") in STATES
    assert {f"LINE_STATE_{one.upper()}" for one in line.State} == set(pb.LineState.keys()) - {"LINE_STATE_UNSPECIFIED"}
    assert len(told(result(), stamp(), KEY)) < MAX_CHECK_BYTES


async def test_what_breaks_a_rule_is_refused_and_says_where() -> None:
    whole = pb.LineCheck.FromString(pb.SignedLineCheck.FromString(told(result(), stamp(), KEY)).check)

    def other(**changes: object) -> pb.LineCheck:
        made = pb.LineCheck()
        made.CopyFrom(whole)
        made.MergeFrom(pb.LineCheck(**changes))
        return made

    fewer = pb.LineCheck(begun=whole.begun, findings=whole.findings[1:])
    strange = pb.LineCheck(begun=whole.begun, findings=whole.findings[:5])
    strange.findings.add(subject=pb.LINE_SUBJECT_CANARY, state=pb.LINE_STATE_OPEN)
    forged = stamp()
    forged.time_us += 1
    refused = {
        "check.check: ": pb.SignedLineCheck(check=b"x" * (MAX_CHECK_BYTES + 1)),
        "check.key_id: ": signed(whole, SigningKey.generate()),
        "check.signature: ": signed(whole, KEY, OBSERVATION),
        "check.findings: each subject once": signed(fewer),
        "check.findings: a state that": signed(strange),
        "check.begun: a stamp of": signed(pb.LineCheck(begun=stamp(-3601), findings=whole.findings)),
        "check.begun: ": signed(pb.LineCheck(begun=forged, findings=whole.findings)),
        "check.begun: a stamp": signed(pb.LineCheck(findings=whole.findings)),
    }
    twice = other(findings=[pb.LineFinding(subject=pb.LINE_SUBJECT_CANARY, state=pb.LINE_STATE_SET)])
    refused["check.findings: each"] = signed(twice)
    store = Store()
    for said, given in refused.items():
        with pytest.raises(InvalidRequestError) as caught:
            await checks(store).submit(CALLER, given)
        assert said in str(caught.value), (said, str(caught.value))
    for caller in (Identity("school-1", Role.PROBE, "p2"), Identity("school-1", Role.NODE, "p1")):
        with pytest.raises(NotPermittedError):
            await checks(store).submit(caller, signed(whole))
    assert not store.kept
