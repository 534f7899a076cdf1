"""The whole way of a node and a probe into the service and out of it: real processes, real TLS, the real commands."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from typer.testing import CliRunner

from compliance_api.cli import app
from compliance_api.domain.parties.organisation import Person
from compliance_api.identity import pki
from lachan import channel, newcomer, postgres, tls
from lachan.channel import Renewing
from lachan.compliance.v1 import audit_service_pb2 as audits
from lachan.compliance.v1 import challenge_service_pb2 as openings
from lachan.compliance.v1 import enrolment_service_pb2 as doors
from lachan.compliance.v1 import finding_service_pb2 as findings
from lachan.compliance.v1 import probe_service_pb2 as probes
from lachan.compliance.v1 import report_pb2
from lachan.compliance.v1 import report_service_pb2 as reports
from lachan.compliance.v1.audit_service_pb2_grpc import AuditServiceStub
from lachan.compliance.v1.challenge_service_pb2_grpc import ChallengeServiceStub
from lachan.compliance.v1.enrolment_service_pb2_grpc import CredentialServiceStub, EnrolmentServiceStub
from lachan.compliance.v1.finding_service_pb2_grpc import FindingServiceStub
from lachan.compliance.v1.probe_service_pb2_grpc import ProbeServiceStub
from lachan.compliance.v1.report_service_pb2_grpc import ReportServiceStub
from lachan.invitation import Invitation
from lachan.newcomer import NewcomerError
from lachan.postgres import DatabaseSettings
from lachan.renewal import Renewal, life_of
from lachan.signing import SigningKey
from lachan.tls import Identity, Role, TlsFiles
from tests.support.compliance import COMMAND, Authority, Service, violated_fields
from tests.support.edge import free_port
from tests.support.people import let_in

RESOLVER = (sys.executable, "-c", "from resolver.cli import main; main()")
PROBE = (sys.executable, "-c", "from compliance_api.probe.cli import main; main()")
SECONDS = 60
PEOPLE = ("a/person/an", "b/person/binh")


class World:
    """The service, and its people."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        door = free_port()
        enrolment = {
            "listen": f"127.0.0.1:{door}",
            "address": f"127.0.0.1:{door}",
            "issuer": {"certificate": "ca/ca.pem", "key": "ca/ca-key.pem"},
        }
        self.authority = Authority(folder, settings={"enrolment": enrolment})
        for uri in PEOPLE:
            self.authority.certify(uri)
        # Nobody asks for names here.
        self.service = Service(self.authority.configure(free_port()), folder / "service.log")

    async def let_in(self) -> None:
        """The first person of each operator."""
        people = [
            (
                Identity(organisation, Role.PERSON, name),
                Person(name, SigningKey.generate().public.raw),
                self.authority.material(f"{organisation}/person/{name}").certificate,
            )
            for organisation, _, name in (uri.split("/") for uri in PEOPLE)
        ]
        with postgres.database(DatabaseSettings(embedded=self.folder / "db"), "compliance") as url:
            engine = postgres.engine(url, 2, "test")
            await let_in(engine, people, datetime.now(UTC))
            await engine.dispose()

    @property
    def target(self) -> str:
        return self.service.addresses["grpc"]

    def run(self, *words: str, command: tuple[str, ...] = COMMAND, fails: bool = False) -> str:
        if command is COMMAND and ("--service" in words or words[0] == "person"):
            # Nothing of this machine is in it: a process of its own would only take longer.
            with ThreadPoolExecutor(1) as elsewhere:
                told = elsewhere.submit(CliRunner().invoke, app, words).result()
            assert (told.exit_code != 0) is fails, told.output + str(told.exception)
            return str(told.exception) if fails else told.stdout.strip()
        done = subprocess.run(
            [*command, *words], capture_output=True, text=True, timeout=SECONDS, check=False, cwd=self.folder
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return (done.stderr if fails else done.stdout).strip()

    def token(self, party: str, entry: dict[str, Any]) -> str:
        path = self.folder / f"{party.replace('/', '-')}.yaml"
        path.write_text(json.dumps(entry))
        return self.run("token", f"lachan://{party}", "--config", str(self.service.config), "--entry", str(path))

    def by(self, person: str) -> tuple[str, ...]:
        return "--service", self.target, "--as", str(self.folder / "tls" / person.replace("/", "-"))

    def waiting(self, person: str, party: str) -> dict[str, str]:
        told = json.loads(self.run("enrolment", "list", *self.by(person), "--json"))["enrolments"]
        found: dict[str, str] = next(one for one in told if one["party"] == f"lachan://{party}")
        return found

    def files(self, name: str) -> TlsFiles:
        own = self.folder / name
        return TlsFiles(ca=own / "ca.pem", certificate=own / "node.pem", key=own / "node.pem")

    async def enrol(self, name: str) -> TlsFiles:
        """A node of operator `a`, in."""
        files, key = self.files(name), SigningKey.generate()
        party = Identity("a", Role.NODE, name)
        token = await asyncio.to_thread(self.token, f"a/node/{name}", {"name": name})
        outcome = await newcomer.enrol(files, party, key, token, 0)
        pending = await asyncio.to_thread(self.waiting, "a/person/an", f"a/node/{name}")
        confirm = ("enrolment", "confirm", pending["enrolment"], outcome.fingerprint, *self.by("a/person/an"))
        await asyncio.to_thread(self.run, *confirm)
        assert (await newcomer.enrol(files, party, key, None, 0)).standing is newcomer.Standing.ENROLLED
        return files


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("service"))
    try:
        made.service.start()
        asyncio.run(made.let_in())
        yield made
        assert made.service.stop() == 0, made.service.log_path.read_text()
    finally:
        made.service.close()


async def code(opened: grpc.aio.Channel) -> grpc.StatusCode:
    """How an empty report is refused: INVALID_ARGUMENT by the service itself, for whoever is in."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ReportServiceStub(opened).SubmitReports(reports.SubmitReportsRequest(), timeout=SECONDS)
    status: grpc.StatusCode = refused.value.code()
    return status


IN, OUT = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED


async def test_an_engineer_enrols_a_node_and_revokes_it(world: World) -> None:
    own = world.folder / "edge"
    own.mkdir()
    config = own / "edge.yaml"
    paths = {"ca": "tls/ca.pem", "certificate": "tls/node.pem", "key": "tls/node.pem"}
    config.write_text(
        json.dumps(
            {
                "organisation": "a",
                "node": "hcm-1",
                "state_dir": str(own / "state"),
                "runtime_dir": str(own / "run"),
                "listen": [{"address": "127.0.0.1", "port": free_port()}],
                "upstreams": [{"address": "127.0.0.1", "port": 5335}],
                "blocklist": {"snapshot": "rules.snapshot"},
                "report": {"uplink": {"target": world.target, "tls": paths, "authority_key": "../receipt.pem"}},
            }
        )
    )
    enroll = ("enroll", "--config", str(config))
    token = world.token("a/node/hcm-1", {"name": "hcm-1", "resolvers": [{"address": "192.0.2.53"}]})
    told = world.run(*enroll, "--token", token, command=RESOLVER)
    fingerprint = told.splitlines()[2].strip()
    pending = world.waiting("a/person/an", "a/node/hcm-1")
    assert (pending["state"], pending["fingerprint"]) == ("pending", fingerprint)
    # Another operator's person, with the right fingerprint even, and this one's with a wrong one.
    number = pending["enrolment"]
    assert "PERMISSION_DENIED" in world.run(
        "enrolment", "confirm", number, fingerprint, *world.by("b/person/binh"), fails=True
    )
    wrong = fingerprint.replace(fingerprint[0], "0" if fingerprint[0] != "0" else "1")
    assert "not that of this newcomer" in world.run(
        "enrolment", "confirm", number, wrong, *world.by("a/person/an"), fails=True
    )
    # The authority, where the service runs.
    local = ("--config", str(world.service.config))
    assert "no such enrolment of so" in world.run("enrolment", "confirm", number, fingerprint, *local, fails=True)
    world.run("enrolment", "confirm", number, fingerprint, *world.by("a/person/an"))
    assert "enrolled" in world.run(*enroll, "--resume", command=RESOLVER)
    material = tls.load(TlsFiles(**{name: own / path for name, path in paths.items()}))
    assert str(material.identity) == "lachan://a/node/hcm-1"
    assert (own / "tls" / "node.pem").stat().st_mode & 0o777 == 0o600
    async with channel.connect(world.target, material) as opened:
        assert await code(opened) is IN
        # In another process, while this connection stands.
        world.run("revoke", "lachan://a/node/hcm-1", "--reason", "stolen", *world.by("a/person/an"))
        assert await code(opened) is OUT
    listed = json.loads(world.run("organisation", "list", *local, "--json"))["parties"]
    assert [one["standing"] for one in listed if one["name"] == "hcm-1"] == ["revoked"]


async def test_a_probe_of_the_authority_is_confirmed_where_the_service_runs(world: World) -> None:
    own = world.folder / "probe"
    own.mkdir()
    config = own / "probe.yaml"
    paths = {"ca": "ca.pem", "certificate": "certificate.pem", "key": "key.pem"}
    settings = {"service": world.target, "tls": paths, "signing_key": "probe.pem", "spool": "s"}
    settings |= {"journal": "j", "line": "authority"}
    config.write_text(json.dumps(settings))
    entry = {"name": "p9", "vantage_point": "hcm-9", "access_network": "net-9", "custodian": "so"}
    token = world.token("so/probe/p9", entry)
    told = world.run("enroll", "--config", str(config), "--token", token, command=PROBE)
    local = ("--config", str(world.service.config))
    listed = json.loads(world.run("enrolment", "list", *local, "--json"))["enrolments"]
    number = next(one["enrolment"] for one in listed if one["party"] == "lachan://so/probe/p9")
    world.run("enrolment", "confirm", number, told.splitlines()[2].strip(), *local)
    assert world.run("enroll", "--config", str(config), "--resume", command=PROBE) == "lachan://so/probe/p9: enrolled"
    material = tls.load(TlsFiles(**{name: own / path for name, path in paths.items()}))
    async with channel.connect(world.target, material) as opened:
        await ProbeServiceStub(opened).TakeAssignment(probes.TakeAssignmentRequest(), timeout=SECONDS)
        # By another process, while this connection stands.
        world.run("revoke", "lachan://so/probe/p9", "--reason", "line sold", *local)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ProbeServiceStub(opened).TakeAssignment(probes.TakeAssignmentRequest(), timeout=SECONDS)
        assert refused.value.code() is OUT


async def test_a_certificate_is_renewed_without_a_gap_and_taken_up_without_a_restart(world: World) -> None:
    files = await world.enrol("e7")
    before = tls.load(files)
    life = life_of(before.certificate)
    line = Renewing(world.target, files)
    assert await code(line.channel()) is IN
    early = Renewal(world.target, files, random.Random(1), lambda: life.begin + (life.end - life.begin) * 0.4)
    assert await early.step() > 0
    assert tls.load(files) == before
    # Before the last third of its life.
    late = Renewal(world.target, files, random.Random(1), lambda: life.begin + (life.end - life.begin) * 0.66)
    await late.step()
    after = tls.load(files)
    assert late.failures == 0
    assert after.certificate != before.certificate
    assert tls.belongs(after)
    for material in (before, after):
        async with channel.connect(world.target, material) as opened:
            assert await code(opened) is IN
    first = line.channel()
    assert await code(first) is IN
    await line.close()


async def test_a_certificate_that_the_authoritys_key_alone_made_is_refused(world: World) -> None:
    files = await world.enrol("e8")
    out = world.folder / "minted"
    uri = "lachan://a/node/e8"
    pki.issue(world.folder / "ca", out, uri, datetime.now(UTC), dns=[], addresses=[], days=1)
    minted = tls.load(TlsFiles(ca=out / "ca.pem", certificate=out / "certificate.pem", key=out / "key.pem"))
    for material, expected in ((minted, OUT), (tls.load(files), IN)):
        async with channel.connect(world.target, material) as opened:
            assert await code(opened) is expected


async def test_the_secret_is_told_to_nobody_but_the_service_of_the_token(world: World, tmp_path: Path) -> None:
    """Somebody stands in the service's place, with an authority of their own, or with the service's own certificate."""
    invitation = Invitation.parse(await asyncio.to_thread(world.token, "a/node/e9", {"name": "e9"}))
    asked: list[str] = []

    class Handlers(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> Any:
            asked.append(details.method.rsplit("/", 1)[1])
            return grpc.unary_unary_rpc_method_handler(answer)

    async def answer(request: bytes, context: Any) -> bytes:
        del request, context
        # The field `authorities`: the true one, which anybody can have.
        ca = (world.folder / "ca" / "ca.pem").read_bytes()
        return b"\x0a" + bytes([len(ca) & 0x7F | 0x80, len(ca) >> 7]) + ca

    pki.init(tmp_path / "ca", datetime.now(UTC))
    out = tmp_path / "x"
    pki.issue(tmp_path / "ca", out, "lachan://so/service/x", datetime.now(UTC), dns=[], addresses=["127.0.0.1"], days=1)
    mine = tls.load(TlsFiles(ca=out / "ca.pem", certificate=out / "certificate.pem", key=out / "key.pem"))
    server = channel.server()
    server.add_generic_rpc_handlers((Handlers(),))
    port = channel.bind_open(server, "127.0.0.1:0", lambda: mine)
    await server.start()
    lured = replace(invitation, server=f"127.0.0.1:{port}")
    with pytest.raises(NewcomerError, match="UNAVAILABLE"):
        await newcomer.enrol(world.files("e9"), Identity("a", Role.NODE, "e9"), SigningKey.generate(), lured.text(), 0)
    with pytest.raises(NewcomerError, match="is not the service that this token is for"):
        await newcomer.authority_of(replace(lured, pin=bytes(32)))
    await server.stop(None)
    assert asked == ["GetAuthority", "GetAuthority"]


def test_people_come_in_by_tokens_and_the_second_by_the_first(world: World) -> None:
    config = ("--config", str(world.service.config))
    # Whoever has the authority's key makes nobody's person: not of who has people, and not of who has none yet.
    for uri in ("a/person/mallory", "so/person/mallory"):
        world.authority.certify(uri)
        assert "PERMISSION_DENIED" in world.run("enrolment", "list", *world.by(uri), fails=True)

    def folder(name: str) -> str:
        return str(world.folder / "people" / name)

    def begin(name: str, *units: str) -> str:
        given = world.run("token", f"lachan://so/person/{name}", *config, *units)
        return world.run("person", "enroll", "--as", folder(name), "--token", given).splitlines()[2].strip()

    fingerprint = begin("chi", "--unit", "inspection")
    listed = json.loads(world.run("enrolment", "list", *config, "--json"))["enrolments"]
    number = next(one["enrolment"] for one in listed if one["party"] == "lachan://so/person/chi")
    world.run("enrolment", "confirm", number, fingerprint, *config)
    assert "enrolled" in world.run("person", "enroll", "--as", folder("chi"), "--resume")
    fingerprint = begin("dung")
    by = ("--service", world.target, "--as", folder("chi"))
    told = json.loads(world.run("enrolment", "list", *by, "--json"))["enrolments"]
    number = next(one["enrolment"] for one in told if one["party"] == "lachan://so/person/dung")
    world.run("enrolment", "confirm", number, fingerprint, *by)
    assert "enrolled" in world.run("person", "enroll", "--as", folder("dung"), "--resume")
    assert "renewed until" in world.run("person", "renew", "--as", folder("dung"), "--service", world.target)
    # Somebody who acts for a unit sees findings, and nobody else of the authority does.
    assert json.loads(world.run("finding", "list", *by, "--json")) == {"findings": []}
    other = ("--service", world.target, "--as", folder("dung"))
    assert "acts for no unit" in world.run("finding", "list", *other, fails=True)
    assert "there is no finding" in world.run("finding", "confirm", "00" * 16, *by, fails=True)
    assert world.run("person", "key", "--as", folder("chi")).startswith("lachan://so/person/chi ")
    for words, complaint in (
        (("person", "enroll", "--as", folder("x")), "--resume"),
        (("person", "enroll", "--as", folder("x"), "--token", world.token("a/node/e10", {"name": "e10"})), "no person"),
    ):
        assert complaint in world.run(*words, fails=True)
    assert "no unit" in world.run("token", "lachan://a/node/e11", "--unit", "legal", *config, fails=True)


# What one party or another may say, and the field that it gets wrong.
WRONG: tuple[tuple[str, Any, str, Any, str], ...] = (
    ("a/node/edge-1", ReportServiceStub, "SubmitReports", reports.SubmitReportsRequest(), "reports"),
    (
        "a/node/edge-1",
        ReportServiceStub,
        "SubmitReports",
        reports.SubmitReportsRequest(reports=[report_pb2.SignedReport(report=b"\xff", key_id=bytes(33))]),
        "reports[0].key_id",
    ),
    (
        "a/node/edge-1",
        AuditServiceStub,
        "ProveInclusion",
        audits.ProveInclusionRequest(indexes=[1], size=1 << 60),
        "size",
    ),
    (
        "a/node/edge-1",
        AuditServiceStub,
        "ProveConsistency",
        audits.ProveConsistencyRequest(old_size=2, new_size=1),
        "new_size",
    ),
    ("a/node/edge-1", ChallengeServiceStub, "SubmitOpening", openings.SubmitOpeningRequest(), "opening.opening"),
    (
        "a/node/edge-1",
        ChallengeServiceStub,
        "SubmitOpening",
        openings.SubmitOpeningRequest(opening=openings.SignedOpening(opening=b"x", key_id=b"y")),
        "opening.key_id",
    ),
    ("so/probe/p1", ProbeServiceStub, "TakeStamps", probes.TakeStampsRequest(commitments=[b"x"]), "commitments[0]"),
    ("so/probe/p1", ProbeServiceStub, "SubmitObservations", probes.SubmitObservationsRequest(), "observations"),
    (
        "so/probe/p1",
        ProbeServiceStub,
        "SubmitObservations",
        probes.SubmitObservationsRequest(observations=[probes.SignedObservation(observation=b"x")]),
        "observations[0].key_id",
    ),
    ("a/person/an", FindingServiceStub, "GetFinding", findings.GetFindingRequest(finding_id=b"x"), "finding_id"),
    ("a/person/an", FindingServiceStub, "AnswerFinding", findings.AnswerFindingRequest(), "signed.statement"),
    ("a/person/an", FindingServiceStub, "TakeStep", findings.TakeStepRequest(), "signed.statement"),
    (
        "a/person/an",
        CredentialServiceStub,
        "ConfirmEnrolment",
        doors.ConfirmEnrolmentRequest(enrolment_id=b"x"),
        "enrolment_id",
    ),
    (
        "a/person/an",
        CredentialServiceStub,
        "RefuseEnrolment",
        doors.RefuseEnrolmentRequest(enrolment_id=b"x"),
        "enrolment_id",
    ),
    ("a/person/an", CredentialServiceStub, "RevokeParty", doors.RevokePartyRequest(party="x", reason="y"), "party"),
    (
        "a/person/an",
        CredentialServiceStub,
        "RevokeParty",
        doors.RevokePartyRequest(party="lachan://a/node/edge-1", reason=""),
        "reason",
    ),
    (
        "a/person/an",
        CredentialServiceStub,
        "RevokeParty",
        doors.RevokePartyRequest(party="lachan://a/node/edge-1", reason="y", fingerprint=b"x"),
        "fingerprint",
    ),
    ("a/person/an", CredentialServiceStub, "RenewCertificate", doors.RenewCertificateRequest(csr=b"x"), "csr"),
)
# By anybody: they have no certificate yet.
STRANGE: tuple[tuple[str, Any, str], ...] = (
    ("RequestEnrolment", doors.RequestEnrolmentRequest(secret=bytes(32)), "key"),
    ("CollectCertificate", doors.CollectCertificateRequest(), "enrolment_id"),
)


def stands_in(request: Any, path: str) -> bool:
    """Whether there is such a field in a message of that kind."""
    descriptor = request.DESCRIPTOR
    for part in path.split("."):
        field = descriptor.fields_by_name.get(part.partition("[")[0])
        if field is None:
            return False
        descriptor = field.message_type
    return True


async def test_what_is_wrong_in_a_request_is_named_by_its_field(world: World) -> None:
    for uri, stub, method, request, expected in WRONG:
        async with channel.connect(world.target, world.authority.material(uri)) as opened:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await getattr(stub(opened), method)(request, timeout=SECONDS)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT, (method, refused.value.details())
        assert violated_fields(refused.value) == [expected], method
        assert stands_in(request, expected)
    ca = world.authority.material("a/node/edge-1").ca
    async with channel.connect_unnamed(world.service.addresses["enrolment"], ca) as opened:
        for method, request, expected in STRANGE:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await getattr(EnrolmentServiceStub(opened), method)(request, timeout=SECONDS)
            assert violated_fields(refused.value) == [expected], method
