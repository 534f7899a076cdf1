"""What clients ask, and where from, leaves no trace: not on the wire to the authority, not on the edge's disk.

A real edge is enrolled, answers canary names to a client at a canary address over every transport, reports, has its
ledger proven, opens challenged counts, renews its certificate, hears of releases and fetches them. Every service that
it speaks with writes down, behind TLS, every byte of every message and of its metadata.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import yaml

from blocklist_sync.edge.fetcher import Fetcher
from blocklist_sync.edge.hosts import Hosts, HostSettings
from blocklist_sync.edge.settings import SyncSettings
from lachan.compliance.v1 import report_pb2 as pb
from lachan.signing import SigningKey
from lachan.whoami import Whoami
from resolver.openings import HOUR, Openings, TallyFile
from tests.support.edge import Edge, until
from tests.support.encrypted import MEDIA, SECONDS, Place, place
from tests.support.framing import framed
from tests.support.packets import question, read
from tests.support.recording import Recorder, everybody
from tests.unit.resolver.test_openings import write

ADDRESS = "127.77.66.55"
LABEL = "canary7q3x9zk"
# Each goes its own way through the edge.
NAMES = tuple(f"{LABEL}-{way}.{parent}" for way, parent in (
    ("listed", "bad.example"), ("csam", "worse.example"), ("clean", "clean.example"), ("gone", "nx.example"),
    ("school", "school-only.example"), ("other", "other.example"),
))  # fmt: skip


def traces() -> dict[str, bytes]:
    """The canaries in every form that a file or a message might have them in, in lower case."""
    packed = ipaddress.ip_address(ADDRESS).packed
    found = {
        "label": LABEL.encode(),
        "label in hex": LABEL.encode().hex().encode(),
        "label in UTF-16": LABEL.encode("utf-16-le"),
        "address": ADDRESS.encode(),
        "address, packed": packed,
        "address, packed, the other way round": packed[::-1],
        "address in hex": packed.hex().encode(),
    }
    for shift in range(3):
        # Of base64, the characters that the canary alone decides, wherever in a group of three it begins.
        encoded = base64.b64encode(b"\0" * shift + LABEL.encode())
        found[f"label in base64, {shift}"] = encoded[4 if shift else 0 : -4].lower()
    return found


def seen_in(data: bytes) -> list[str]:
    lowered = data.lower()
    return [name for name, trace in traces().items() if trace in (data if "packed" in name else lowered)]


def ask(at: Place, kind: str, packet: bytes) -> bytes:
    """The answer over a transport to a client at the canary address."""
    if kind == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(SECONDS)
            sock.bind((ADDRESS, 0))
            sock.connect(("127.0.0.1", at.ports["udp"]))
            sock.send(packet)
            return sock.recv(65535)
    if kind == "doh":
        transport = httpx.HTTPTransport(verify=at.authority.client(), http2=True, local_address=ADDRESS)
        with httpx.Client(transport=transport, timeout=SECONDS, trust_env=False) as client:
            url = f"https://127.0.0.1:{at.ports['doh']}/dns-query"
            return client.post(url, content=packet, headers={"content-type": MEDIA}).content
    with socket.create_connection(("127.0.0.1", at.ports[kind]), SECONDS, source_address=(ADDRESS, 0)) as plain:
        if kind == "tcp":
            return exchanged(plain, packet)
        trusting = at.authority.client("dot")
        trusting.check_hostname = False
        with trusting.wrap_socket(plain, server_hostname="dns.example") as sock:
            return exchanged(sock, packet)


def exchanged(sock: socket.socket | ssl.SSLSocket, packet: bytes) -> bytes:
    sock.sendall(framed(packet))
    data = b""
    while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
        part = sock.recv(65535)
        assert part
        data += part
    return data[2:]


def files(folder: Path) -> dict[str, bytes]:
    """Every regular file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


# The client's, among others: it is filtered and counted as a school's.
NETWORKS = ["127.77.66.0/24"]
AT_SCHOOL = {
    "profiles": [{"name": "school", "networks": NETWORKS}],
    "schools": [{"name": "truong-1", "networks": NETWORKS}],
}
FINGERPRINTS = (3, 5)
HOUR_AT = int(time.time()) // HOUR * HOUR - 50 * HOUR
"""An hour that is over for long enough to be opened."""


def hits_of_an_hour(folder: Path, fingerprints: Sequence[int]) -> None:
    """What an edge would have kept of an earlier hour, so that there is something to open."""
    tally = TallyFile(folder / "tally-of-then", 1)
    write(tally, 0, HOUR_AT, dict.fromkeys(fingerprints, 7))
    openings = Openings(folder / "edge" / "state" / "openings", tally, 0, lambda: fingerprints)
    assert openings.root_before(HOUR_AT + HOUR) is not None
    (folder / "tally-of-then").unlink()


SPOKEN = {
    "ReportService/SubmitReports",
    "AuditService/GetCheckpoint",
    "AuditService/ProveInclusion",
    "AuditService/ProveConsistency",
    "ChallengeService/PendingOpenings",
    "ChallengeService/SubmitOpening",
    "EnrolmentService/GetAuthority",
    "EnrolmentService/RequestEnrolment",
    "EnrolmentService/CollectCertificate",
    "CredentialService/RenewCertificate",
    "ReleaseService/WatchReleases",
}
"""Everything that an edge says over gRPC, in its life."""


async def test_what_a_client_asks_and_where_it_is_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "edge"
    folder.mkdir()
    hits_of_an_hour(tmp_path, FINGERPRINTS)
    async with everybody(tmp_path, monkeypatch, HOUR_AT, FINGERPRINTS) as them:

        async def enrolled(edge: Edge) -> None:
            edge.config.write_text(yaml.safe_dump(edge.settings))
            done = await edge.command("enroll", "--token", them.token, "--wait", "60")
            assert "enrolled" in done.stdout, done.stderr

        async with place(folder, enrolled, **them.settings | AT_SCHOOL) as at:
            kinds = ("udp", "tcp", "dot", "doh")
            await until(lambda: serials(at.edge) == {1}, "it has the list")
            for name in NAMES:
                for kind in kinds:
                    answer = await asyncio.to_thread(ask, at, kind, question(name, id=0))
                    assert read(answer).question[0].name.to_text().lower() == f"{name}."
            # Queries that cannot be read are where a name would be written down.
            for spoilt in (question(NAMES[0])[:-3], question(NAMES[2])[:12] + b"\x3f" + question(NAMES[2])[12:]):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    sock.bind((ADDRESS, 0))
                    sock.sendto(spoilt, ("127.0.0.1", at.ports["udp"]))

            def blocked() -> int:
                them.ledger.size = them.ledger.book.woods.size
                return sum(cell.count for report in them.ledger.parsed() for cell in report.blocked)

            # It was all counted and told, so what is looked through is what is told of it.
            await until(lambda: blocked() >= 2 * len(kinds), "every hit is told")
            await until(lambda: blocked() and spoken(them.recorder) >= SPOKEN, "it spoke with everybody")
            asked = them.recorder.said["/lachan.compliance.v1.ReportService/SubmitReports"]
            told = len(asked)
            await until(lambda: blocked() and len(asked) > told, "and again with what it learnt")
            standing = json.dumps([at.edge.status(), *map(str, at.edge.workers())]).encode()
            living = files(folder)
            cores = limits(at.edge)
        stopped = files(folder)
    assert any(pb.Report.FromString(one.report).queries for one in them.ledger.reports)
    assert [(one.refusal, [rule.count for rule in one.rules if rule.fingerprint]) for one in them.desk.openings] == [
        (0, [7] * len(FINGERPRINTS))
    ]
    assert {one.split(b" ")[1] for one in them.downloads} >= {b"/metadata/timestamp.json"}
    assert seen_in(them.said()) == []
    assert seen_in(standing) == []
    assert {"edge.log", "state/reports.spool", "state/tls/edge.pem"} < set(living)
    assert any(name.startswith("state/openings/") for name in living)
    for when, kept in (("while it runs", living), ("after its end", stopped)):
        found = {name: traces for name, data in kept.items() if (traces := seen_in(data))}
        assert found == {}, when
    # What crashes leaves no memory behind either.
    assert all(re.search(r"^Max core file size +0 +0 ", one, re.MULTILINE) for one in cores)


def serials(edge: Edge) -> set[int]:
    status = edge.status()
    return {worker["rules"]["serial"] for worker in status["workers"]} if status else set()


def spoken(recorder: Recorder) -> set[str]:
    return {method.rpartition(".")[2] for method, parts in recorder.said.items() if parts}


def limits(edge: Edge) -> list[str]:
    """Of each of its processes."""
    assert edge.process is not None
    return [Path(f"/proc/{pid}/limits").read_text() for pid in (edge.process.pid, *edge.workers())]


def test_the_search_would_find_them() -> None:
    packed = ipaddress.ip_address(ADDRESS).packed
    samples = [
        NAMES[0].upper().encode(),
        question(NAMES[0]),
        base64.b64encode(b"x" + NAMES[1].encode()),
        NAMES[0].encode().hex().encode(),
        f"from {ADDRESS}:53".encode(),
        b"\xff\xff" + packed,
        packed[::-1],
    ]
    assert all(seen_in(sample) for sample in samples)
    assert seen_in(b"www.bad.example from 192.0.2.1") == []


def test_a_download_says_which_file_is_wanted_and_nothing_of_the_edge(tmp_path: Path) -> None:
    asked: list[tuple[str, dict[str, str]]] = []

    class Noting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, dict(self.headers)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Noting) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        settings = SyncSettings(repository=url, root=tmp_path / "root.json", ca=tmp_path / "ca.pem")
        fetcher = Fetcher(settings, Hosts(HostSettings(), tmp_path / "hosts.json"), url, time.monotonic() + 60)
        fetcher.open(f"{url}metadata/timestamp.json", {})
        fetcher.release()
        server.shutdown()
        serving.join()
    ((path, headers),) = asked
    assert path == "/metadata/timestamp.json"
    assert set(headers) <= {"Host", "Accept-Encoding", "User-Agent", "Connection"}
    # The same of every edge of every operator.
    assert headers["User-Agent"] == "lachan-edge"


def test_whoami_says_who_answers_and_when_and_not_to_whom() -> None:
    told = Whoami.make(SigningKey.generate(), LABEL, "a/edge-1", 1_790_000_000).strings()
    assert [string.partition(b"=")[0] for string in told] == [b"node", b"time", b"sig"]
    assert seen_in(b"\0".join(told)) == []
    assert len(base64.b64decode(told[2][4:])) == 64
