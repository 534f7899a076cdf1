"""Sources against a real HTTPS server: what is taken, what is refused, and what stands meanwhile."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from typer.testing import CliRunner

from blocklist_sync.artifact.categories import Category
from blocklist_sync.central import inforce
from blocklist_sync.central.cli import app
from blocklist_sync.central.entries import Kind, Scope
from blocklist_sync.central.intake.collector import Against, Collector, Result
from blocklist_sync.central.intake.copies import Copies
from blocklist_sync.central.intake.sources import SourceSettings
from blocklist_sync.central.log import changes
from blocklist_sync.central.rails import rails
from lachan.errors import LachanError
from tests.support import clear_list, killed
from tests.support.blocklist import MANDATE
from tests.support.clear_list import Entries
from tests.support.list_authority import Handler, Server, drip, silence

TREE = Kind(Scope.SUBTREE, False, Category.GAMBLING, MANDATE)
NAMES = [f"n{i}.example" for i in range(50)]
OLD = 1_700_000_000


class Publisher:
    """Who publishes a list, and the one source that takes it."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.server = server
        self.entries_path = folder / "release" / "entries.tsv"
        self.entries_path.parent.mkdir()
        self.now = self.published = OLD

    @property
    def place(self) -> str:
        return f"https://127.0.0.1:{self.server.server_address[1]}/list.txt"

    def publish(self, *names: str) -> None:
        path = self.folder / "www" / "list.txt"
        path.write_text("\n".join(names))
        # The server tells whole seconds.
        self.published += 10
        os.utime(path, (self.published, self.published))

    def settings(self, **more: Any) -> SourceSettings:
        fields = {
            "name": "daily",
            "url": self.place,
            "ca": self.folder / "ca.pem",
            "category": "gambling",
            "order": MANDATE.text,
            "mandated": True,
            "max_bytes": 4096,
        }
        return SourceSettings(**(fields | more))

    def collector(self, **more: Any) -> Collector:
        against = Against(lambda runs: inforce.from_entries(self.entries_path, runs), rails.load(None))
        return Collector(self.settings(**more), self.folder / "sources" / "daily", against, lambda _: None)

    def look(self, **more: Any) -> Result:
        self.now += 3600
        self.server.requests.clear()
        return self.collector(**more).look(self.now)

    def land(self, *names: str) -> None:
        held = Entries()
        held.add(TREE, names, 1)
        clear_list.write(self.entries_path, held)

    @property
    def drafts(self) -> list[Path]:
        return sorted((self.folder / "sources" / "daily" / "drafts").glob("*.changes"))


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    (tmp_path / "www").mkdir()
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    with Server(tmp_path / "www", context) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield Publisher(tmp_path, server)
        finally:
            server.shutdown()
            thread.join()


def test_a_list_is_taken_once_and_drafted_until_it_has_landed(publisher: Publisher) -> None:
    publisher.publish(*NAMES)
    result = publisher.look()
    assert (result.look.outcome, result.look.failures) == ("new", 0)
    assert result.look.good is not None
    assert (result.look.good.names, result.look.good.fetched_at) == (50, publisher.now)
    [draft] = publisher.drafts
    assert changes.check(draft).added == 50
    # The server says that nothing changed; the draft stands as long as the list lacks the names.
    asked: list[str | None] = []

    def ask(handler: Handler) -> bool:
        asked.append(handler.headers["If-Modified-Since"])
        return False

    publisher.server.faults = {"list.txt": ask}
    assert publisher.look().look.outcome == "unchanged"
    assert asked == [result.look.good.last_modified]
    assert publisher.drafts == [draft]
    publisher.land(*NAMES)
    assert publisher.look().look.outcome == "unchanged"
    assert publisher.drafts == []
    # What it no longer has is proposed to go.
    publisher.publish(*NAMES[1:])
    assert publisher.look().look.outcome == "new"
    assert publisher.drafts[0].read_text().endswith("\nn0.example\t0\t-\n")


def test_entity_tags_are_believed_of_the_same_place_only(publisher: Publisher) -> None:
    tags: list[str | None] = []

    def tagged(handler: Handler) -> bool:
        tags.append(handler.headers["If-None-Match"])
        body = b"" if tags[-1] else "\n".join(NAMES).encode()
        handler.send_response(304 if tags[-1] else 200)
        handler.send_header("ETag", '"one"')
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        return True

    publisher.server.faults = {".txt": tagged}
    assert publisher.look().look.outcome == "new"
    assert publisher.look().look.outcome == "unchanged"
    assert publisher.look(url=publisher.place.replace("list", "other")).look.outcome == "unchanged"
    assert tags == [None, '"one"', None]


def answer(body: bytes, status: int = 200, **headers: str) -> Any:
    def fault(handler: Handler) -> bool:
        handler.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            if value:
                handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        with contextlib.suppress(OSError):
            handler.wfile.write(body)
        return True

    return fault


LIST = "\n".join(NAMES).encode()
BOMB = gzip.compress(bytes(50_000_000))
FAULTS = {
    "cut": (answer(LIST[:100], Content_Length="1000"), "unreachable"),
    "cut chunks": (answer(b"5\r\nn0.ex\r\n", Transfer_Encoding="chunked", Content_Length=""), "unreachable"),
    "drip": (drip, "slow"),
    "silent": (silence, "slow"),
    "page": (answer(b"<!DOCTYPE html><title>Login</title>", Content_Type="text/plain"), "page"),
    "bomb": (answer(BOMB[:3000], Content_Encoding="gzip"), "compressed"),
    "archive": (answer(BOMB[:3000]), "compressed"),
    "announced": (answer(LIST, Content_Length="1000000"), "oversized"),
    "endless": (
        answer(
            b"1000\r\n" + b"x" * 4096 + b"\r\n1000\r\n" + b"x" * 4096, Transfer_Encoding="chunked", Content_Length=""
        ),
        "oversized",
    ),
    "broken": (answer(b"", 500), "status"),
    "gone": (answer(b"a.example", 404), "status"),
    "away": (answer(b"", 302, Location="https://192.0.2.1/list.txt"), "status"),
    "plain": (answer(b"", 302, Location="http://127.0.0.1/list.txt"), "status"),
    "round": (answer(b"", 302, Location="list.txt"), "status"),
    "empty": (answer(b""), "empty"),
    "comments": (answer(b"# nothing\n"), "empty"),
    "shrunk": (answer(LIST[:200]), "shrunk"),
    "noise": (answer(b"what is this\n" * 20 + LIST), "refused-lines"),
}


def test_whatever_goes_wrong_the_last_good_copy_stands(publisher: Publisher) -> None:
    publisher.publish(*NAMES)
    good = publisher.look().look.good
    drafts = publisher.drafts
    assert drafts
    for failures, (name, (fault, kind)) in enumerate(FAULTS.items(), 1):
        publisher.server.faults = {"list.txt": fault}
        quick = {"idle_timeout": 0.3, "timeout": 0.6} if kind == "slow" else {}
        result = publisher.look(**quick)
        assert result.look.outcome == kind, (name, result.look)
        assert (result.look.good, result.look.failures) == (good, failures)
        # Drafted from the copy all the same.
        assert publisher.drafts == drafts
        assert result.outcome is not None
    publisher.server.faults = {}
    assert publisher.look().look.failures == 0


def test_who_is_not_vouched_for_brings_nothing(publisher: Publisher) -> None:
    publisher.publish(*NAMES)
    # The system's authorities know nothing of this server.
    result = publisher.look(ca=None)
    assert (result.look.outcome, result.look.good, result.outcome) == ("unreachable", None, None)
    assert publisher.server.requests == []
    assert publisher.look(ca=publisher.folder / "none.pem").look.outcome == "storage"


def test_a_redirect_on_the_same_host_is_followed(publisher: Publisher) -> None:
    publisher.publish(*NAMES)
    publisher.server.faults = {"moved": answer(b"", 302, Location="/list.txt")}
    assert publisher.look(url=publisher.place.replace("list", "moved")).look.outcome == "new"
    assert publisher.server.requests == ["/moved.txt", "/list.txt"]


def test_names_that_must_never_be_blocked(publisher: Publisher) -> None:
    publisher.publish(*NAMES)
    publisher.look()
    publisher.publish(*NAMES, "a.gov.vn")
    strict = publisher.look(forbidden_names="refuse")
    assert (strict.look.outcome, strict.look.good is not None) == ("rails", True)
    assert "a.gov.vn" in strict.look.detail
    left_out = publisher.look()
    assert left_out.look.outcome == "new"
    assert left_out.outcome is not None
    assert (left_out.outcome.lines.refused, left_out.outcome.findings) == (1, [])


@pytest.mark.forks
def test_killed_at_every_step_one_good_copy_is_there(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(NAMES))
    source = SourceSettings(name="daily", file=listed, category="gambling", order=MANDATE.text)
    against = Against(lambda runs: inforce.from_entries(tmp_path / "none", runs), rails.load(None))
    folder = tmp_path / "kept"

    def look() -> Result:
        return Collector(source, folder, against, lambda _: None).look(OLD)

    before = look().look.good
    listed.write_text("\n".join([*NAMES, "new.example"]))
    steps, seen = 0, set()
    for _ in killed.at_every_step(look):
        steps += 1
        held = Copies(folder)
        good = held.last().good
        assert good is not None
        assert held.path(good).read_text().count("\n") + 1 == good.names
        seen.add(good)
        if good != before:
            break
    assert steps > 10
    assert len(seen) == 2
    assert look().look.outcome == "unchanged"
    assert len(list(folder.glob("*.copy"))) == len(list((folder / "drafts").glob("*.changes"))) == 1
    assert not (folder / "incoming").exists()


@pytest.mark.forks
def test_a_full_disk_leaves_the_good_copy(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(NAMES))
    source = SourceSettings(name="daily", file=listed, category="gambling", order=MANDATE.text)
    against = Against(lambda runs: inforce.from_entries(tmp_path / "none", runs), rails.load(None))
    good = Collector(source, tmp_path / "kept", against, lambda _: None).look(OLD).look.good
    listed.write_text("\n".join(f"m{i}.example" for i in range(5000)))

    def look() -> None:
        # Told, one way or the other: even the note of it may find no room.
        with contextlib.suppress(LachanError):
            Collector(source, tmp_path / "kept", against, lambda _: None).look(OLD)

    for room in (100, 1000):
        assert killed.with_full_disk(look, room) == 0
        held = Copies(tmp_path / "kept")
        assert good is not None
        assert held.last().good == good
        assert held.path(good).exists()


def run(*words: object) -> Any:
    return CliRunner().invoke(app, ["source", *map(str, words)])


def test_the_verbs(publisher: Publisher) -> None:
    publisher.publish(*NAMES)
    (publisher.folder / "office.csv").write_text("name,order,category\na.example,34/QĐ,scam\n")
    path = publisher.folder / "sources.yaml"
    path.write_text(
        f"""
folder: kept
release: release
sources:
  - {{name: daily, url: "{publisher.place}", ca: ca.pem, order: {MANDATE.text}, category: gambling}}
  - {{name: office, file: office.csv, format: csv}}
  - {{name: lost, file: lost.txt, order: "1", category: scam}}
"""
    )
    checked = json.loads(run("check", "--config", path, "daily", "--json").stdout)["sources"]
    assert [(one["source"], one["outcome"], one["diff"]["added"], one["drafts"]) for one in checked] == [
        ("daily", "good", 50, [])
    ]
    assert Copies(publisher.folder / "kept" / "daily").last().good is None
    done = run("run", "--config", path, "--due", "--json")
    assert done.exit_code == 1
    told = {one["source"]: (one["outcome"], len(one["drafts"])) for one in json.loads(done.stdout)["sources"]}
    assert told == {"daily": ("new", 1), "office": ("new", 1), "lost": ("unreachable", 0)}
    # Nothing is due so soon.
    assert json.loads(run("run", "--config", path, "--due", "--json").stdout) == {"sources": []}
    listed = json.loads(run("list", "--config", path, "--json").stdout)["sources"]
    assert [(one["source"], one["names"], one["failures"]) for one in listed] == [
        ("daily", 50, 0),
        ("office", 1, 0),
        ("lost", 0, 1),
    ]
    assert "office" in run("list", "--config", path).stdout
    shown = run("run", "--config", path, "office")
    assert (shown.exit_code, "unchanged" in shown.stdout) == (0, True)
    assert "no such source" in str(run("run", "--config", path, "nobody").exception)
