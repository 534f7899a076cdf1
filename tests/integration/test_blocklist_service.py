"""`lachan-blocklist` as processes: build, publish, serve over HTTPS and gRPC, killed in between."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import grpc
import grpc.aio
import pytest
import urllib3

from blocklist_sync.artifact._snapshot import fingerprint
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.release.candidate import ReleaseFolder
from blocklist_sync.central.release.repository import Repository
from blocklist_sync.central.release.sign import RefusedError
from blocklist_sync.edge.agent import Agent, ClientCertificate, Failure, SyncSettings
from compliance_api.identity import pki
from lachan import channel, tls
from lachan.blocklist.v1 import sample_service_pb2 as pb
from lachan.blocklist.v1 import sample_service_pb2_grpc as rpc
from lachan.tls import TlsFiles
from tests.support import killed
from tests.support.list_authority import ListAuthority

PROGRAM = Path(sys.executable).with_name("lachan-blocklist")
SEED = bytes(range(16))


def command(*arguments: object, status: int = 0) -> str:
    """Runs the command; its standard output."""
    done = subprocess.run(
        [PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False, env=os.environ
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if status == 0 else done.stderr


SCAM = Kind(Scope.SUBTREE, False, Category.SCAM, Order("12/QĐ", mandated=False))


@dataclass
class Running:
    """A `lachan-blocklist serve` and what it needs."""

    folder: Path
    authority: ListAuthority
    process: subprocess.Popen[str]
    https_port: int
    grpc_port: int

    def papers(self, uri: str) -> TlsFiles:
        """A certificate for a party."""
        out = self.folder / "pki" / uri.rpartition("://")[2].replace("/", "-")
        if not out.exists():
            now = datetime.now(UTC)
            pki.issue(self.folder / "pki" / "ca", out, uri, now, dns=["localhost"], addresses=["127.0.0.1"], days=2)
        return TlsFiles(ca=out / "ca.pem", certificate=out / "certificate.pem", key=out / "key.pem")

    def stub(self, uri: str = "lachan://so-test/service/compliance") -> rpc.SampleServiceAsyncStub:
        return rpc.SampleServiceStub(channel.connect(f"localhost:{self.grpc_port}", tls.load(self.papers(uri))))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("list")
    pki.init(folder / "pki" / "ca", datetime.now(UTC))
    server = Running(folder, ListAuthority(folder), None, 0, 0)  # type: ignore[arg-type]  # started below
    server.authority.publish(*(f"g{i}.example" for i in range(300)))
    paper = server.papers("lachan://so-test/service/blocklist")
    (folder / "list.yaml").write_text(
        f"""
release: release
repository: repository
log_folder: log
controls: [timing.example]
rpz_origins: [lachan.rpz.so-test.example]
https:
  listen: 127.0.0.1:0
  certificate: {paper.certificate}
  key: {paper.key}
  client_ca: {paper.ca}
grpc:
  listen: 127.0.0.1:0
  tls: {{ca: {paper.ca}, certificate: {paper.certificate}, key: {paper.key}}}
log: {{form: json}}
""",
        encoding="utf-8",
    )
    with (folder / "serve.log").open("w") as log:
        server.process = subprocess.Popen(
            [PROGRAM, "serve", "--config", folder / "list.yaml"], stdout=subprocess.PIPE, stderr=log, text=True
        )
        assert server.process.stdout is not None
        text = ""
        while not text.rstrip().endswith("}"):
            line = server.process.stdout.readline()
            assert line, (folder / "serve.log").read_text()
            text += line
        ports = json.loads(text)
        server.https_port, server.grpc_port = ports["https_port"], ports["grpc_port"]
        yield server
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        server.process.stdout.close()
    written = (folder / "serve.log").read_text()
    assert "lachan://so-test/service/compliance" in written
    # Clients are named by what their certificates say, never by where they come from.
    assert "127.0.0.1" not in written


async def test_an_edge_with_a_certificate_gets_the_list(running: Running, tmp_path: Path) -> None:
    node = running.papers("lachan://isp-a/node/n1")
    settings = SyncSettings(
        repository=f"https://localhost:{running.https_port}",
        root=running.folder / "repository" / "metadata" / "1.root.json",
        ca=node.ca,
        tls=ClientCertificate(certificate=node.certificate, key=node.key),
    )
    activation = await Agent(settings, tmp_path / "edge").check()
    assert activation is not None
    assert activation.serial >= 1

    stranger = Agent(settings.model_copy(update={"tls": None}), tmp_path / "stranger")
    assert await stranger.check() is None
    assert stranger.failed[Failure.UNREACHABLE] == 1


def test_nothing_but_the_repository_is_served(running: Running) -> None:
    node = running.papers("lachan://isp-a/node/n1")
    with urllib3.PoolManager(
        ca_certs=str(node.ca), cert_file=str(node.certificate), key_file=str(node.key), retries=False
    ) as pool:
        base = f"https://localhost:{running.https_port}"
        assert pool.request("GET", f"{base}/metadata/timestamp.json").status == 200
        assert pool.request("POST", f"{base}/metadata/timestamp.json").status == 405
        for path in ("/", "/metadata/", "/metadata/../../release/entries.tsv", "/metadata/%2e%2e/%2e%2e/keys/root.pem"):
            response = pool.request("GET", base + path)
            assert response.status == 404
            assert "server" not in response.headers


async def test_samples_repeat_by_their_seed(running: Running) -> None:
    stub = running.stub()
    request = pb.SampleNamesRequest(count=20, seed=SEED)
    first = await stub.SampleNames(request, timeout=20)
    again = await stub.SampleNames(request, timeout=20)
    assert first == again
    other = await stub.SampleNames(pb.SampleNamesRequest(count=20, seed=SEED[::-1]), timeout=20)
    assert {n.name for n in other.names} != {n.name for n in first.names}
    assert len({n.name for n in first.names}) == 20
    listed = first.names[0]
    assert (listed.subtree, listed.category, listed.order, listed.mandated) == (True, 4, "12/QĐ", True)
    assert listed.added_serial == 1
    assert abs(listed.added_at - time.time()) < 600
    key = running.authority.release.published_heading()[1].key
    assert {n.fingerprint for n in first.names} == {fingerprint(n.name, key) for n in first.names}


async def test_a_new_release_is_sampled_once_it_is_published(running: Running) -> None:
    stub = running.stub()
    before = await stub.ListReleases(pb.ListReleasesRequest(limit=5), timeout=20)
    serial = before.releases[0].serial
    # Too long for the zone that operators take, and no edge minds.
    long = ".".join(["a" * 60] * 4)[:244] + f".s{serial}.test"
    running.authority.decide((f"s{serial}.example", SCAM, True), (long, SCAM, True))
    built = running.authority.build()
    assert built.candidate.serial == serial + 1
    # A candidate is nobody's business yet.
    fresh = pb.SampleNamesRequest(count=20, seed=SEED, added_after_serial=serial)
    assert not (await stub.SampleNames(fresh, timeout=20)).names
    running.authority.publish()
    after = await stub.SampleNames(fresh, timeout=20)
    assert after.serial == serial + 1
    assert sorted((n.rpz_unfit, n.name, n.category, n.mandated, n.added_serial) for n in after.names) == [
        (False, f"s{serial}.example", 8, False, serial + 1),
        (True, long, 8, False, serial + 1),
    ]
    releases = (await stub.ListReleases(pb.ListReleasesRequest(limit=2), timeout=20)).releases
    assert [r.serial for r in releases] == [serial + 1, serial]
    assert releases[0].records_digest == ReleaseFolder(running.folder / "release").release().digest
    assert releases[0].entries == built.candidate.records


async def test_what_was_in_force_is_sampled_again_after_it_is_gone(running: Running) -> None:
    stub, authority = running.stub(), running.authority
    fleeting, kind = "fleeting.example", SCAM
    authority.decide((fleeting, kind, True))
    authority.build()
    # Publishings are a second apart, as far as the history can tell.
    then = authority.publish().release
    asked = pb.SampleNamesRequest(count=1000, seed=SEED, in_force_at=then.published_at)
    before = await stub.SampleNames(asked, timeout=60)
    assert before.serial == then.serial
    assert [n.added_serial for n in before.names if n.name == fleeting] == [then.serial]
    later = then.published_at + 2
    authority.decide((fleeting, kind, False))
    authority.build()
    authority.publish(now=later)
    assert fleeting not in {
        n.name for n in (await stub.SampleNames(pb.SampleNamesRequest(count=1000, seed=SEED), timeout=60)).names
    }
    again = await stub.SampleNames(asked, timeout=60)
    assert [n.name for n in again.names] == [n.name for n in before.names]
    assert (again.serial, {n.fingerprint for n in again.names}) == (then.serial, {0})
    with pytest.raises(grpc.aio.AioRpcError, match="nothing was published yet"):
        await stub.SampleNames(pb.SampleNamesRequest(count=1, seed=SEED, in_force_at=1), timeout=60)


async def test_names_taken_out_are_told_with_their_release_and_time(running: Running) -> None:
    stub, authority = running.stub(), running.authority
    bound = SCAM._replace(order=Order("12/QĐ", mandated=True))
    names = ("a.timing.example", "below.freed.example", "freed.example")
    authority.decide(*((name, bound, True) for name in names))
    authority.build()
    brought = authority.publish().release
    own = await stub.SampleNames(pb.SampleNamesRequest(count=5, seed=SEED, controls_only=True), timeout=60)
    assert [(one.name, one.control) for one in own.names] == [("a.timing.example", True)]
    listed = await stub.AreListed(
        pb.AreListedRequest(names=[*names, "x.freed.example", "g1.example", "never.example"]), timeout=60
    )
    long = ".".join(["a" * 60] * 4)[:244] + ".example"
    unfit = await stub.AreListed(pb.AreListedRequest(names=[long, "g1.example"]), timeout=60)
    assert [one.rpz_unfit for one in unfit.statuses] == [True, False]
    told = [(one.listed, one.binding, one.added_serial) for one in listed.statuses]
    assert told == [(True, True, brought.serial)] * 4 + [(True, True, 1), (False, False, 0)]
    assert listed.serial == brought.serial

    first, last = brought.published_at + 2, brought.published_at + 4
    for at, gone in ((first, names[:2]), (last, names[2:])):
        authority.decide(*((name, bound, False) for name in gone))
        authority.build()
        authority.publish(now=at)
    asked = pb.ListRemovedRequest(after_serial=brought.serial, page_size=1)
    found = []
    while True:
        answer = await stub.ListRemoved(asked, timeout=60)
        found += [(one.name, one.removed_serial, one.removed_at, one.listed, one.control) for one in answer.names]
        asked.page_token = answer.next_page_token
        if not asked.page_token:
            break
    serial = brought.serial
    assert found == [
        ("a.timing.example", serial + 1, first, False, True),
        # What stood above it went with the next release.
        ("below.freed.example", serial + 1, first, True, False),
        ("below.freed.example", serial + 2, last, False, False),
        ("freed.example", serial + 2, last, False, False),
    ]
    assert answer.serial == serial + 2
    freed = await stub.AreListed(pb.AreListedRequest(names=names), timeout=60)
    assert not any(one.listed or one.binding for one in freed.statuses)
    for wrong in (["a.example", "Not.Canonical.example"], []):
        with pytest.raises(grpc.aio.AioRpcError, match="names"):
            await stub.AreListed(pb.AreListedRequest(names=wrong), timeout=20)


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("lachan://isp-a/node/n1", grpc.StatusCode.PERMISSION_DENIED),
        ("lachan://isp-a/service/reporter", grpc.StatusCode.PERMISSION_DENIED),
        ("lachan://isp-a/probe/compliance", grpc.StatusCode.PERMISSION_DENIED),
        # Of that name, and of another organisation.
        ("lachan://isp-a/service/compliance", grpc.StatusCode.PERMISSION_DENIED),
    ],
)
async def test_nobody_but_compliance_is_answered(running: Running, uri: str, status: grpc.StatusCode) -> None:
    stub = running.stub(uri)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.SampleNames(pb.SampleNamesRequest(count=1, seed=SEED), timeout=20)
    assert refused.value.code() is status
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.ListReleases(pb.ListReleasesRequest(limit=1), timeout=20)
    assert refused.value.code() is status


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.SampleNamesRequest(count=0, seed=SEED), "count"),
        (pb.SampleNamesRequest(count=1001, seed=SEED), "count"),
        (pb.SampleNamesRequest(count=1, seed=SEED[1:]), "seed"),
        (pb.SampleNamesRequest(count=1, seed=bytes(33)), "seed"),
    ],
)
async def test_requests_out_of_bounds_name_the_field(
    running: Running, request_: pb.SampleNamesRequest, field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await running.stub().SampleNames(request_, timeout=20)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in str(refused.value.details())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("build", "--log", "{out}", "--release", "{out}", "--repository", "{out}"), "name the top-level targets"),
        (("rollback", "1", "--log", "{out}", "--release", "{out}", "--repository", "{out}"), "nothing is published"),
        (("verify", "--root", "{empty}", "--repository", "{out}", "--log", "{out}"), "trusted root"),
        (("explain", "uk", "--release", "{out}"), "a single label"),
        (("explain", "a.example", "--release", "{out}"), "nothing was published"),
        (("explain", "a.example", "--release", "{out}", "--candidate"), "nothing was built"),
        (("publish", "--release", "{out}", "--repository", "{out}/r", "--online-key", "{out}/k.pem"), "k.pem"),
        (("rotate", "list", "--repository", "{out}", "--out", "{out}"), "nothing is published"),
        (("rotate", "king", "--repository", "{out}", "--out", "{out}"), "no role"),
        (("serve", "--config", "{empty}"), "mapping"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "empty").write_text("")
    (tmp_path / "out").mkdir()
    places = {"out": tmp_path / "out", "empty": tmp_path / "empty"}
    assert message in command(*(part.format(**places) for part in arguments), status=1)


@pytest.mark.forks
def test_killed_at_every_step_of_publishing_readers_see_one_release_or_the_other(tmp_path: Path) -> None:
    authority = ListAuthority(tmp_path)
    authority.publish("one.example")
    authority.build("two.example")
    authority.sign()
    repository, root = Repository(authority.repository), authority.sources().root
    serials = set()
    for _ in killed.at_every_step(authority.publish):
        contents = repository.verified(root)
        assert contents.listed is not None
        target = contents.listed.signed.targets["list/records.bin"]
        path = repository.target_path("list/records.bin", target.hashes["sha256"])
        assert path.stat().st_size == target.length
        serials.add(target.custom["serial"])
    assert serials == {1, 2}
    assert [row.serial for row in authority.release.published()] == [1, 2]


@pytest.mark.forks
def test_a_serial_that_somebody_signed_is_never_taken_for_other_bytes(tmp_path: Path) -> None:
    authority = ListAuthority(tmp_path / "authority")
    authority.publish("one.example")
    authority.build("two.example")
    serials = set()
    for step in killed.at_every_step(authority.publish):
        shutil.copytree(authority.folder, tmp_path / str(step))
        after = ListAuthority.reopen(tmp_path / str(step))
        if after.interrupted:
            after.publish()
        after.build("three.example")
        with contextlib.suppress(RefusedError):
            after.sign()
        if not after.release.document().signatures:
            # A signer's machine has noted what it signs, and was interrupted before its signature was anywhere.
            after.build(above=2)
        serials.add(after.publish().release.serial)
        signed: dict[int, str] = {}
        for path in (after.repository / "metadata").glob("*.list.json"):
            target = json.loads(path.read_bytes())["signed"]["targets"]["list/records.bin"]
            digest = target["hashes"]["sha256"]
            assert signed.setdefault(target["custom"]["serial"], digest) == digest
        shutil.rmtree(tmp_path / str(step))
    # Before anybody signed it the serial is free; after that, the other list gets the next one.
    assert serials == {2, 3}
