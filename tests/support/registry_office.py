"""A list authority with a registry: `lachan-blocklist serve` as a process on a real database, and its people."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import grpc.aio
from securesystemslib.signer import Signer
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Targets
from typer.testing import CliRunner

from blocklist_sync.central.cli import app
from blocklist_sync.central.log import keys
from blocklist_sync.central.log.proposals import Order
from blocklist_sync.central.registry import client
from blocklist_sync.central.registry.client import PersonSettings, RegistryClient
from blocklist_sync.central.release import holder
from lachan import config
from lachan.errors import LachanError
from lachan.tls import TlsFiles
from tests.support.papers import Papers

PROGRAM = (sys.executable, "-c", "from blocklist_sync.central.cli import main; main()")
PASSPHRASE = "correct horse"


def delegate(repository: Path, keys: Sequence[Any], version: int = 1) -> None:
    """Writes top-level targets that name these keys for the list role."""
    role = DelegatedRole("list", [key.keyid for key in keys], 1, True, paths=["list/*"])
    signed = Targets(
        version=version,
        expires=datetime.now(UTC).replace(microsecond=0) + timedelta(days=1),
        delegations=Delegations({key.keyid: key for key in keys}, {"list": role}),
    )
    folder = repository / "metadata"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{version}.targets.json").write_bytes(Metadata(signed).to_bytes())


def order_arguments(order: Order) -> tuple[object, ...]:
    """How an order is registered by the command."""
    what = ("--date", order.date, "--issuer", order.issuer, "--legal-basis", order.legal_basis)
    mode = "--mandated" if order.mandated else "--profile-only"
    return ("order", "add", order.number, *what, "--jurisdiction", order.jurisdiction, mode)


@dataclass(frozen=True)
class Colleague:
    """Somebody with a certificate, an encrypted key and a configuration."""

    id: str
    folder: Path

    @property
    def public(self) -> Path:
        return self.folder / f"{self.id}.pub.json"

    @property
    def config(self) -> Path:
        return self.folder / f"{self.id}.yaml"

    @cached_property
    def signer(self) -> Signer:
        return holder.signer(str(self.folder / f"{self.id}.pem"), PASSPHRASE.encode)

    @property
    def key(self) -> bytes:
        return keys.raw(self.signer.public_key)

    @asynccontextmanager
    async def calling(self) -> AsyncIterator[RegistryClient]:
        async with client.connect(config.load(self.config, PersonSettings)) as registry:
            yield registry


class Office:
    """The authority's folder, and the service on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.papers = Papers(folder / "pki")
        self.colleagues = {name: self._colleague(name) for name in ("editor", "first", "second", "third")}
        approvers = [holder.public(self.colleagues[name].public) for name in ("first", "second", "third")]
        delegate(folder / "repository", approvers)
        self.process: subprocess.Popen[str] | None = None
        self.port = 0
        self.https_port = self.metrics_port = 0
        self.log = folder / "server.log"

    def _colleague(self, name: str) -> Colleague:
        folder = self.folder / "people"
        made = Colleague(name, folder)
        holder.create(folder / f"{name}.pem", name, PASSPHRASE.encode)
        (folder / "passphrase").write_text(PASSPHRASE + "\n")
        return made

    def configure(
        self, release: str = "release", repository: str = "repository", log_folder: str = "log", **registry: Any
    ) -> None:
        """Writes the server's configuration."""
        paper = self.papers.of("lachan://so-test/service/blocklist")
        tls = {"ca": str(paper.ca), "certificate": str(paper.certificate), "key": str(paper.key)}
        document = {
            "release": release,
            "repository": repository,
            "log_folder": log_folder,
            "metrics": {"listen": "127.0.0.1:0"},
            "https": {
                "listen": "127.0.0.1:0",
                "certificate": tls["certificate"],
                "key": tls["key"],
                "client_ca": tls["ca"],
            },
            "grpc": {"listen": f"127.0.0.1:{self.port}", "tls": tls},
            "registry": {"database": {"embedded": "db"}, **registry},
            "log": {"form": "json"},
        }
        (self.folder / "list.yaml").write_text(json.dumps(document))

    def start(self) -> None:
        """Starts the service and waits until it serves; people's configurations name its port."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*PROGRAM, "serve", "--config", str(self.folder / "list.yaml")],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        said = ""
        while not said.rstrip().endswith("}"):
            line = self.process.stdout.readline()
            assert line, self.log.read_text()
            said += line
        ports = json.loads(said)
        self.port, self.https_port, self.metrics_port = (ports[f"{name}_port"] for name in ("grpc", "https", "metrics"))
        for name, one in self.colleagues.items():
            self.configure_person(one, f"lachan://so-test/person/{name}")

    def configure_person(self, colleague: Colleague, uri: str) -> None:
        paper: TlsFiles = self.papers.of(uri)
        document = {
            "registry": f"localhost:{self.port}",
            "tls": {"ca": str(paper.ca), "certificate": str(paper.certificate), "key": str(paper.key)},
            "key": f"{colleague.id}.pem",
            "passphrase_file": "passphrase",
        }
        colleague.config.write_text(json.dumps(document))

    def channel_of(self, uri: str) -> grpc.aio.Channel:
        from lachan import channel, tls

        return channel.connect(f"localhost:{self.port}", tls.load(self.papers.of(uri)))

    def kill(self) -> None:
        """Kill -9."""
        assert self.process is not None
        self.process.kill()
        self._reap()

    def stop(self) -> int:
        """SIGTERM."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        return self._reap()

    def _reap(self) -> int:
        assert self.process is not None
        status = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return status

    def run(self, *arguments: object, person: str = "", status: int = 0) -> str:
        """Runs a verb as a person, in this process; its standard output, or what it complained of."""
        environment = {"LACHAN_PERSON": str(self.colleagues[person].config)} if person else {}
        done = CliRunner().invoke(app, [*map(str, arguments)], env=environment)
        complaint = done.stderr + str(done.exception or "")
        assert done.exit_code == status, complaint
        assert done.exception is None or isinstance(done.exception, (LachanError, SystemExit)), repr(done.exception)
        assert PASSPHRASE not in complaint + done.stdout
        return done.stdout if status == 0 else complaint

    def told(self, *arguments: object, person: str) -> Any:
        """What a verb says in JSON."""
        return json.loads(self.run(*arguments, "--json", person=person))

    def found(self) -> None:
        """Enrols everybody."""
        for name, role, witness in (
            ("first", ("approver", "editor"), "second"),
            ("second", ("approver",), "first"),
            ("third", ("approver", "custodian"), "first"),
            ("editor", ("editor",), "first"),
        ):
            roles = [part for one in role for part in ("--role", one)]
            public = self.colleagues[name].public
            arguments = ("--name", name.title(), "--unit", "list-unit", *roles, "--public", public)
            self.run("people", "enrol", name, *arguments, person=witness)
