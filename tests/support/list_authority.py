"""A list authority on loopback: keys, a release folder, a signed repository, and an HTTPS server that can be broken."""

from __future__ import annotations

import contextlib
import http.server
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import trustme
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Targets

from blocklist_sync.artifact.categories import Category
from blocklist_sync.central.entries import Kind
from blocklist_sync.central.log import approvals
from blocklist_sync.central.log.changes import Reader
from blocklist_sync.central.log.folder import LogFolder
from blocklist_sync.central.release.build import Built, Wish, build, custom_of
from blocklist_sync.central.release.candidate import ReleaseFolder
from blocklist_sync.central.release.ceremony import ROOT_ROLES, Holders, expiry, first_root, first_targets
from blocklist_sync.central.release.holder import PERSON, person_of
from blocklist_sync.central.release.publish import Documents, Lifetimes, Outcome, publish
from blocklist_sync.central.release.repository import Repository
from blocklist_sync.central.release.sign import Examination, Examined, Memory, Sources
from blocklist_sync.central.release.sign import sign as sign_list
from blocklist_sync.central.trial import listed
from blocklist_sync.edge.settings import SyncSettings
from lachan import durable
from tests.support.registry import (
    EDITOR,
    FIRST,
    GAMBLING,
    ORDER,
    SECOND,
    THIRD,
    LogBook,
    Member,
    approval,
    founded,
    proposal,
    text,
)

Fault = Callable[["Handler"], bool]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the repository; a fault registered for a part of the path may answer instead."""

    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: on a kept connection, the second would wait until the first is acknowledged.
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        """Answers a request, well or badly."""
        self.server.requests.append(self.path)
        self.server.said.append(f"{self.requestline}\n{self.headers}".encode())
        for part, fault in self.server.faults.items():
            if part in self.path and fault(self):
                self.close_connection = True
                return
        super().do_GET()


def silence(handler: Handler) -> bool:
    """Says nothing until the client gives up."""
    with contextlib.suppress(OSError):
        handler.rfile.read(1)
    return True


def drip(handler: Handler) -> bool:
    """Announces some kilobytes and lets them come byte by byte, more slowly than anybody should wait for."""
    handler.send_response(200)
    handler.send_header("Content-Length", "4000")
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(600):
            handler.wfile.write(b"x")
            time.sleep(0.05)
    return True


class Server(http.server.ThreadingHTTPServer):
    """An HTTPS server of static files."""

    daemon_threads = True

    def __init__(self, folder: Path, context: ssl.SSLContext) -> None:
        self.faults: dict[str, Fault] = {}
        self.requests: list[str] = []
        # Each request as it came, with its headers.
        self.said: list[bytes] = []
        self._context = context
        super().__init__(("127.0.0.1", 0), lambda *a, **k: Handler(*a, directory=str(folder), **k))

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Speaks TLS in the connection's own thread, so that a client that never does holds up nobody."""
        with contextlib.suppress(OSError), self._context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, *_: object) -> None:
        """Says nothing: clients that go away are what is tested."""


@dataclass
class Keys:
    """Who holds which key; `of_role` says who signs when a test asks for no others."""

    of_role: dict[str, list[CryptoSigner]]
    threshold: dict[str, int] = field(default_factory=lambda: {"root": 2, "targets": 2, "list": 2})

    def holders(self, role: str) -> Holders:
        return Holders([signer.public_key for signer in self.of_role[role]], self.threshold.get(role, 1))


def person(name: str, turn: int = 0) -> CryptoSigner:
    """Somebody's key, drawn from their name; the registry's people have theirs in the same way."""
    signer = Member(name, ("approver",), turn).signer
    signer.public_key.unrecognized_fields[PERSON] = name
    return signer


def first_keys(turn: int = 0) -> Keys:
    """Three holders for each offline role, two of whom must sign; a key for each online one."""
    return Keys(
        {
            "root": [person(f"root-{n}", turn) for n in range(1, 4)],
            "targets": [person(f"targets-{n}", turn) for n in range(1, 4)],
            "list": [person(member.id) for member in (FIRST, SECOND, THIRD)],
            "snapshot": [person("snapshot", turn)],
            "timestamp": [person("timestamp", turn)],
        }
    )


class ListAuthority:
    """Everything a list authority has, below one folder; the whole road of a release, without a database."""

    def __init__(self, folder: Path, turn: int = 0) -> None:
        durable.make_folder(folder)
        self._open(folder, turn)
        self._ca = trustme.CA()
        self._ca.cert_pem.write_to_path(str(self.ca_path))

    def _open(self, folder: Path, turn: int = 0) -> None:
        self.folder = folder
        self.release = ReleaseFolder(folder / "release")
        self.repository = folder / "repository"
        self.log = LogFolder(folder / "log")
        self.ca_path = folder / "ca.pem"
        self.keys = first_keys(turn)
        self.documents = Documents()
        """What is published beside the list at the next occasion."""
        if not (self.repository / "metadata" / "timestamp.json").exists():
            self.documents = self.founding()

    @classmethod
    def reopen(cls, folder: Path) -> ListAuthority:
        """An authority that was made before, as far as building and publishing go."""
        authority = cls.__new__(cls)
        authority._open(folder)
        return authority

    def founding(self) -> Documents:
        """The first root and top-level targets, signed by all their holders."""
        expires = expiry(int(time.time()), 365 * 86_400)
        root = first_root({role: self.keys.holders(role) for role in ROOT_ROLES}, expires)
        targets = first_targets(self.keys.holders("list"), expires)
        return Documents(self.signed(root, "root"), self.signed(targets, "targets"))

    def signed(self, document: Metadata[Any], *roles: str, by: Sequence[CryptoSigner] = ()) -> Metadata[Any]:
        """A document with the signatures of these roles' holders, or of these alone, whatever it says."""
        for signer in by or [signer for role in roles for signer in self.keys.of_role[role]]:
            document.sign(signer, append=True)
        return document

    def in_force(self) -> set[tuple[str, Kind]]:
        """What the log leaves in force."""
        held: set[tuple[str, Kind]] = set()
        for step in approvals.read(self.log.steps_path) if self.log.steps_path.exists() else ():
            header = json.loads(step).get("header")
            if header:
                with self.log.changes_path(header["changes_sha256"]).open("rb") as file:
                    reader = Reader(file, "changes")
                    for name, kind, added in reader:
                        (held.add if added else held.discard)((name, reader.kinds[kind]))
        return held

    def decide(self, *lines: tuple[str, Kind, bool], at: int | None = None) -> None:
        """Proposes these changes, and has them approved by somebody else."""
        at = int(time.time()) - 60 if at is None else at
        book = LogBook()
        book.steps = list(approvals.read(self.log.steps_path)) if self.log.steps_path.exists() else founded().steps
        data = text(*lines)
        basis = next((kind.order for _, kind, added in lines if added), ORDER.basis)
        order = replace(ORDER, number=basis.text, mandated=int(basis.mandated))
        number = len(book.steps)
        asked = proposal(data, number=number, order=order, effective_from=at, proposed_at=at, review_by=at + 86_400)
        durable.make_folder(self.log.folder / "changes")
        durable.write(self.log.changes_path(asked.changes_sha256), [data])
        keys = {one.public_key.keyid for one in self.keys.of_role["list"]}
        approver = next(one for one in (FIRST, SECOND, THIRD) if one.signer.public_key.keyid in keys)
        book.decide(asked, EDITOR, approval(asked, approver, at))
        approvals.write(self.log.steps_path, book.steps)

    def build(
        self,
        *names: str,
        category: Category = Category.GAMBLING,
        extend: bool = False,
        now: int | None = None,
        **wish: Any,
    ) -> Built:
        """Has these names approved, mandated, in place of what is in force, and builds a candidate."""
        source = self.folder / "source.txt"
        source.write_text("\n".join(names), encoding="utf-8")
        found = listed([source], GAMBLING._replace(category=category), _never)
        wanted, held = {(name, kind) for name, kind, _ in found}, self.in_force()
        changes = [(*one, True) for one in wanted - held]
        if not extend and names:
            changes += [(*one, False) for one in held - wanted]
        if changes:
            self.decide(*changes)
        moment = int(time.time()) if now is None else now
        targets = self.documents.targets.signed if self.documents.targets else None
        with self.release.locked():
            return build(
                self.release,
                self.log,
                Repository(self.repository),
                Wish(**{"as_of": moment} | wish),
                now=moment,
                delegations=targets,
            )

    def sources(self, document: Metadata[Targets] | None = None) -> Sources:
        """What a signer's machine is given."""
        root = self.documents.root.to_bytes() if self.documents.root else None
        first = self.repository / "metadata" / "1.root.json"
        return Sources(
            first.read_bytes() if first.exists() else root or b"",
            Repository(self.repository),
            self.log,
            document or self.release.document(),
            self.release.policy_path.read_bytes(),
            self.documents.targets,
        )

    def examine(self, who: str = "first", sources: Sources | None = None) -> Examined:
        """What an approver's machine says of the candidate."""
        return Examination(sources or self.sources(), self.memory(who), int(time.time())).run()

    def memory(self, who: str) -> Memory:
        """What somebody's machine remembers."""
        return Memory(self.folder / "signers" / who)

    def sign(self, by: Sequence[CryptoSigner] | None = None) -> None:
        """Has approvers sign the candidate, each on a machine of their own; two of them if none are named."""
        signed = self.release.document().signatures
        first = [one for one in self.keys.of_role["list"][:2] if one.public_key.keyid not in signed]
        for signer in first if by is None else by:
            who = person_of(signer.public_key)
            sources = self.sources()
            sign_list(self.examine(who, sources), sources, self.memory(who), signer)
            self.release.store_document(sources.document)

    def publish(
        self,
        *names: str,
        now: int | None = None,
        lifetimes: Lifetimes | None = None,
        sign: bool = True,
        urgent: bool = False,
        hold: float = 0.0,
    ) -> Outcome:
        """Builds these names, if any, signs the candidate and publishes it."""
        if names or urgent:
            self.build(*names, urgent=urgent)
        moment = int(time.time()) if now is None else now
        documents = self.documents
        if self.release.document_path.exists():
            held = Repository(self.repository).opened() if self.published else None
            version = held.listed.signed.version if held and held.listed else 0
            if self.release.document().signed.version > version:
                if sign:
                    self.sign()
                documents = replace(documents, listed=self.release.document())
        with self.release.locked():
            outcome = publish(
                self.release,
                self.repository,
                documents,
                [*self.keys.of_role["snapshot"], *self.keys.of_role["timestamp"]],
                now=moment,
                lifetimes=lifetimes,
                hold=hold,
            )
        self.documents = Documents()
        return outcome

    @property
    def interrupted(self) -> bool:
        """Whether a publishing was interrupted after readers could see its release."""
        held = Repository(self.repository).opened()
        serial = custom_of(held.listed)["serial"] if held and held.listed else 0
        return serial > max((row.serial for row in self.release.published()), default=0)

    @property
    def published(self) -> bool:
        """Whether anything is."""
        return (self.repository / "metadata" / "timestamp.json").exists()

    @property
    def records(self) -> Path:
        """The records that are served, the newest if there are several."""
        digest = self.release.history()[-1].records_digest
        return self.repository / "targets" / "list" / f"{digest}.records.bin"

    def listed(self) -> Targets:
        """What the list role signs now."""
        held = Repository(self.repository).opened()
        assert held is not None
        assert held.listed is not None
        return held.listed.signed

    @contextlib.contextmanager
    def serve(self, folder: Path | None = None) -> Iterator[Server]:
        """Serves the repository, or a copy of it in `folder`, until the block ends."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert("127.0.0.1", "localhost", "list.example").configure_cert(context)
        with Server(folder or self.repository, context) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            try:
                yield server
            finally:
                server.shutdown()
                thread.join()

    def settings(self, server: Server | None, **changes: Any) -> SyncSettings:
        """What an edge of this authority is told; without a server, `changes` say where to ask."""
        fields: dict[str, Any] = {"root": self.repository / "metadata" / "1.root.json", "ca": self.ca_path}
        if server is not None:
            fields["repository"] = f"https://127.0.0.1:{server.server_address[1]}"
        return SyncSettings(**(fields | changes))


def _never(refusal: object) -> None:
    raise AssertionError(refusal)
