"""Where the demo lives on disk, and every configuration file in it.

The files are what an operator or an authority would write by hand; only paths, ports and the pace differ.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.demo.catalogue import CONTROLS, NEIGHBOURS, RELEASE_1, RELEASE_2, names
from deploy.demo.ports import ADDRESS, WITNESSES, Ports
from lachan.errors import LachanError
from lachan.ledger.note import NoteKey, SignatureKind
from lachan.signing import SigningKey

ROOT = Path(__file__).parents[2]
JURISDICTION = "demo"
NODE = "edge-1"
OPERATORS = ("a", "b")
# With whose lines they are on.
PROBES = {"probe-1": "authority", "probe-2": "consumer"}
EDITOR = "editor"
APPROVERS = ("approver-1", "approver-2", "approver-3")
PEOPLE = (EDITOR, *APPROVERS)
"""Whom the registry knows."""
LEDGER = "log.demo.example/ledger"
WINDOW = "5s"
ONCE_A_DAY = "1d"
# unix(7): 108 bytes with the end; the edge leaves 28 of them to the name of a socket.
RUNTIME_MAX = 80


class PlaceError(LachanError):
    """The folder cannot be used."""


@dataclass(frozen=True)
class Party:
    """Who holds a certificate: its folder's name, its identity, and whether it serves on loopback."""

    folder: str
    uri: str
    serves: bool = False


PARTIES = (
    Party("list", "lachan://authority/service/blocklist", serves=True),
    Party("compliance", "lachan://authority/service/compliance", serves=True),
    *(Party(operator, f"lachan://{operator}/node/{NODE}") for operator in OPERATORS),
    *(Party(person, f"lachan://authority/person/{person}") for person in PEOPLE),
    Party("probe-1", "lachan://authority/probe/probe-1"),
    Party("probe-2", "lachan://consumer-union/probe/probe-2"),
)


class Place:
    """A folder with everything in it; begun anew each time."""

    def __init__(self, folder: Path, ports: Ports, *, cheating: bool) -> None:
        self.folder = folder
        self.ports = ports
        self.cheating = cheating
        self.logs = folder / "logs"
        self.keys = folder / "keys"
        self.release = folder / "release"
        self.repository = folder / "repository"
        self.log = folder / "log"
        self.ca = folder / "pki" / "ca"
        self.commands = folder / "commands.log"
        self.receipt_key = folder / "receipt.pem"
        self.ledger_key = folder / "ledger.pem"
        self.policy = folder / "ledger-policy.txt"
        self._runtime = folder / "run"

    def clear(self) -> None:
        """Wipes what an earlier demo left, and makes the folders.

        Raises:
            PlaceError: What is there is no demo's.
        """
        if self.folder.exists():
            if any(self.folder.iterdir()) and not self.commands.exists():
                raise PlaceError(f"{self.folder}: not empty, and no demo's: choose another folder")
            shutil.rmtree(self.folder)
        self.logs.mkdir(parents=True)
        self.commands.touch()
        if len(str(self._runtime / "a")) > RUNTIME_MAX:
            self._runtime = Path(tempfile.mkdtemp(prefix="lachan-demo-"))

    def leave(self) -> None:
        """Removes what lies outside the folder."""
        if not self._runtime.is_relative_to(self.folder):
            shutil.rmtree(self._runtime, ignore_errors=True)

    def runtime(self, operator: str) -> Path:
        """Of an operator's resolver: its sockets' paths must be short."""
        return self._runtime / operator

    def certificate(self, party: str) -> dict[str, str]:
        """A party's files, as `tls` sections name them."""
        folder = self.folder / "pki" / party
        return {name: str(folder / f"{name}.pem") for name in ("ca", "certificate", "key")}

    def config(self, name: str) -> Path:
        """The configuration file of a process."""
        return self.folder / f"{name}.yaml"

    def public_key(self, party: str) -> Path:
        """The public half of the key that a node or probe signs with."""
        return self.folder / "pki" / f"{party}.pub.pem"

    def _write(self, name: str, content: dict[str, Any]) -> None:
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
        self.config(name).write_text(text)

    def write(self) -> None:
        """Writes every configuration file."""
        self._write("list", self._list())
        for person in PEOPLE:
            self._write(person, self._person(person))
        self._write("compliance", self._compliance())
        self._write("registry", self._registry())
        for operator in OPERATORS:
            self._write(operator, self._edge(operator))
        for probe in PROBES:
            self._write(probe, self._probe(probe))
        self._write("traffic", self._traffic())
        if self.cheating:
            self._write("liar", self._liar())

    def witness_key(self, owner: str) -> Path:
        """The key that a witness cosigns with."""
        return self.folder / f"witness-{owner}.pem"

    def write_witnesses(self) -> None:
        """Writes whom to believe about the ledger, and the witnesses' own configuration; their keys are there."""
        log = NoteKey(LEDGER, SignatureKind.ED25519, SigningKey.load(self.ledger_key).public)
        lines = [f"log {log}"]
        for owner, port in self.ports.witnesses.items():
            name = f"witness.{owner}.example"
            key = NoteKey(name, SignatureKind.COSIGNATURE, SigningKey.load(self.witness_key(owner)).public)
            lines.append(f"witness {owner} {key} http://{ADDRESS}:{port}")
            self._write(
                f"witness-{owner}",
                {
                    "listen": f"{ADDRESS}:{port}",
                    "name": name,
                    "key": str(self.witness_key(owner)),
                    "folder": str(self.folder / f"witness-{owner}"),
                    "logs": [str(log)],
                },
            )
        lines += [f"group independent 2 {' '.join(WITNESSES)}", "quorum independent", ""]
        self.policy.write_text("\n".join(lines))

    # --- each role -----------------------------------------------------------------------------------------------

    def _list(self) -> dict[str, Any]:
        tls = self.certificate("list")
        return {
            "release": str(self.release),
            "repository": str(self.repository),
            "https": {
                "listen": f"{ADDRESS}:{self.ports.list_https}",
                "certificate": tls["certificate"],
                "key": tls["key"],
                # Only edges that the authority knows may download.
                "client_ca": tls["ca"],
            },
            "grpc": {"listen": f"{ADDRESS}:{self.ports.list_grpc}", "tls": tls},
            "revocations": {
                "service": f"{ADDRESS}:{self.ports.compliance}",
                "tls": tls,
                "kept": str(self.folder / "revocations.json"),
                "interval": "2s",
            },
            "log_folder": str(self.log),
            # One server of PostgreSQL for both authorities, a database and a role for each.
            "registry": {"database": {"embedded": str(self.folder / "postgres")}},
        }

    def _person(self, person: str) -> dict[str, Any]:
        return {
            "registry": f"{ADDRESS}:{self.ports.list_grpc}",
            "tls": self.certificate(person),
            "key": str(self.keys / f"{person}.pem"),
        }

    def _compliance(self) -> dict[str, Any]:
        return {
            "listen": f"{ADDRESS}:{self.ports.compliance}",
            "tls": self.certificate("compliance"),
            "receipt_key": str(self.receipt_key),
            "database": {"embedded": str(self.folder / "postgres")},
            "list_authority": {
                "target": f"{ADDRESS}:{self.ports.list_grpc}",
                "refresh": "2s",
                "maximum_age": "10m",
            },
            "registry": str(self.config("registry")),
            "law": str(Path(__file__).parent / "law.yaml"),
            "assignments": {
                "interval": "6s",
                "listed": 30,
                "spread": "4s",
                "expires": "60s",
                "clock_tolerance": "5s",
                "types": ["A", "AAAA", "HTTPS"],
                "reference": {"address": ADDRESS, "port": self.ports.upstream},
                # The demo's one small internet, by its other door.
                "second_reference": {"address": ADDRESS, "port": self.ports.upstream, "transport": "tcp"},
                "controls": list(CONTROLS),
                "neighbours": list(NEIGHBOURS),
            },
            "judge": {"interval": "2s"},
            "ledger": {"key": str(self.ledger_key), "policy": str(self.policy), "interval": "1s", "refresh": "15s"},
            "console": {
                "listen": f"{ADDRESS}:{self.ports.console}",
                "authority": {"vi": "Sở Mẫu", "en": "Sample Department"},
                "notice": {
                    "vi": "Bản trình diễn: mọi tên miền, doanh nghiệp và văn bản đều là dữ liệu mẫu.",
                    "en": "Demonstration: every domain, operator and order is synthetic.",
                },
                "refresh": "3s",
                "stale_after": "60s",
            },
            "metrics": {"listen": f"{ADDRESS}:{self.ports.metrics['compliance service']}"},
        }

    def _registry(self) -> dict[str, Any]:
        return {
            "jurisdictions": [{"id": JURISDICTION, "name": {"vi": "Tỉnh Mẫu", "en": "Sample Province"}}],
            "organisations": [
                {
                    "id": "authority",
                    "kind": "authority",
                    "name": {"vi": "Sở Mẫu", "en": "Sample Department"},
                    "jurisdictions": [JURISDICTION],
                    "probes": [self._registered_probe("probe-1", "vp-north", "fixed-line", "authority")],
                },
                {
                    "id": "consumer-union",
                    "kind": "custodian",
                    "name": {"vi": "Hội Người dùng Mẫu", "en": "Sample Consumer Union"},
                    "probes": [self._registered_probe("probe-2", "vp-south", "mobile", "consumer-union")],
                },
                *(self._operator(operator) for operator in OPERATORS),
            ],
        }

    def _operator(self, operator: str) -> dict[str, Any]:
        port = self.ports.operator_a if operator == "a" else self.ports.operator_b
        return {
            "id": operator,
            "kind": "operator",
            "name": {"vi": f"Doanh nghiệp {operator.upper()}", "en": f"Operator {operator.upper()}"},
            "jurisdictions": [JURISDICTION],
            "nodes": [
                {
                    "name": NODE,
                    "key": str(self.public_key(operator)),
                    "resolvers": [{"address": ADDRESS, "port": port, "transport": name} for name in ("udp", "tcp")],
                }
            ],
        }

    def _registered_probe(self, name: str, point: str, network: str, custodian: str) -> dict[str, Any]:
        return {
            "name": name,
            "key": str(self.public_key(name)),
            "vantage_point": point,
            "access_network": network,
            "custodian": custodian,
            "line": PROBES[name],
        }

    def _sync(self, party: str, poll: str) -> dict[str, Any]:
        tls = self.certificate(party)
        return {
            "repository": f"https://{ADDRESS}:{self.ports.list_https}",
            "root": str(self.repository / "metadata" / "1.root.json"),
            "ca": tls["ca"],
            "tls": {"certificate": tls["certificate"], "key": tls["key"]},
            "poll_interval": poll,
        }

    def _uplink(self, party: str) -> dict[str, Any]:
        return {
            "target": f"{ADDRESS}:{self.ports.compliance}",
            "tls": self.certificate(party),
            "authority_key": str(self.receipt_key.with_suffix(".pub.pem")),
            "ledger": {"poll": "2s", "check": "30s"},
            "backoff_first": "200ms",
            "backoff_max": "2s",
        }

    def _edge(self, operator: str) -> dict[str, Any]:
        cheats = self.cheating and operator == "b"
        report: dict[str, Any] = {"window": WINDOW}
        if not cheats:
            report["uplink"] = self._uplink(operator)
        port = self.ports.operator_a if operator == "a" else self.ports.operator_b
        return {
            "organisation": operator,
            "node": NODE,
            "state_dir": str(self.folder / operator),
            "runtime_dir": str(self.runtime(operator)),
            "workers": 1,
            "listen": [{"address": ADDRESS, "port": port}],
            "profiles": [{"name": "school", "networks": ["127.0.0.2/32"]}],
            "upstreams": [{"address": ADDRESS, "port": self.ports.upstream}],
            "forwarding": {"sockets": 32},
            # Names of this demonstration, which its upstream knows.
            "local": {"forwarded": ["test"]},
            "cache": {"size": "8MB"},
            # The cheating operator has what it takes and does not use it: it looks for a newer list once a day, and
            # keeps its resolver's reports to itself.
            "blocklist": {"sync": self._sync(operator, ONCE_A_DAY if cheats else "1s")},
            "report": report,
            "metrics": {"address": ADDRESS, "port": self.ports.metrics[f"operator {operator.upper()}"]},
        }

    def _probe(self, name: str) -> dict[str, Any]:
        return {
            "service": f"{ADDRESS}:{self.ports.compliance}",
            "tls": self.certificate(name),
            "line": PROBES[name],
            "signing_key": str(self.folder / "pki" / f"{name}.pem"),
            "spool": str(self.folder / name / "observations.spool"),
            "journal": str(self.folder / name / "journal.db"),
            "assignments": 8,
            "measure": {"timeout": "1s", "tries": 3, "same_name_gap": "100ms"},
            "uplink": {"poll": "1s", "submit_every": "1s", "backoff_first": "200ms", "backoff_most": "2s"},
            "metrics": f"{ADDRESS}:{self.ports.metrics[name.replace('-', ' ')]}",
        }

    def _traffic(self) -> dict[str, Any]:
        return {
            "resolvers": {"a": self.ports.operator_a, "b": self.ports.operator_b},
            "listed": list(names((*RELEASE_1, *RELEASE_2))),
            "clean": list(CONTROLS),
        }

    def _liar(self) -> dict[str, Any]:
        return {
            "spool": str(self.folder / "b" / "reports.spool"),
            "key": str(self.folder / "b" / "node.key"),
            "state_dir": str(self.folder / "liar"),
            "sync": self._sync("b", "1s"),
            "uplink": self._uplink("b"),
        }


def program(name: str) -> str:
    """The path of one of this project's commands, in the environment that runs the demo."""
    return str(Path(sys.executable).parent / name)
