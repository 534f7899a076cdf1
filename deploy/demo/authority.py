"""The list authority's people in the demo, and the road of a release as they would type it.

Three custodians hold root and top-level targets, two of whom sign; an editor proposes what an order asks, an approver
approves it with a key of their own; two of three approvers rebuild the list from the log and sign; the server's own
keys publish. Every step is a command of the product; the keys lie in the clear, since nobody is there to type a
passphrase.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.demo.catalogue import Source
from deploy.demo.place import APPROVERS, EDITOR, JURISDICTION, PEOPLE, Place, program
from deploy.demo.ports import ADDRESS
from deploy.demo.processes import Processes

CUSTODIANS = ("custodian-1", "custodian-2", "custodian-3")
ONLINE = ("snapshot", "timestamp")
DIGITS_SHOWN = 12

Say = Callable[[str], None]


@dataclass(frozen=True)
class Decided:
    """What became of a source."""

    source: Source
    added: int
    refused: int


class Authority:
    """Everybody at the list authority."""

    def __init__(self, place: Place, processes: Processes, say: Say) -> None:
        self._place = place
        self._processes = processes
        self._say = say
        self._ceremony = place.folder / "ceremony"

    def _command(self, *words: object) -> list[str]:
        return [program("lachan-blocklist"), *map(str, words)]

    def _side_by_side(self, *commands: Sequence[object]) -> list[str]:
        return self._processes.run([self._command(*words) for words in commands])

    def _run(self, *arguments: object) -> str:
        return self._side_by_side(arguments)[0]

    def _told(self, *arguments: object) -> Any:
        return json.loads(self._run(*arguments, "--json"))

    def _key(self, person: str) -> Path:
        return self._place.keys / f"{person}.pem"

    def _public(self, *people: str) -> list[Path]:
        return [self._key(person).with_suffix(".pub.json") for person in people]

    def _as(self, person: str) -> tuple[object, ...]:
        return "--config", self._place.config(person)

    @property
    def _root(self) -> Path:
        return self._ceremony / "1.root.json"

    @property
    def _targets(self) -> Path:
        return self._ceremony / "1.targets.json"

    def key_commands(self) -> list[Sequence[str]]:
        """Everybody draws a key of their own; side by side."""
        people = (*CUSTODIANS, *PEOPLE, *ONLINE)
        return [
            self._command("keys", "new", "--in-the-clear", "--person", person, "--out", self._key(person))
            for person in people
        ]

    def found(self) -> None:
        """The ceremony: root and top-level targets, each signed by two of three custodians."""
        holders = {
            "--root-key": self._public(*CUSTODIANS),
            "--targets-key": self._public(*CUSTODIANS),
            "--snapshot-key": self._public("snapshot"),
            "--timestamp-key": self._public("timestamp"),
        }
        options = [part for option, files in holders.items() for file in files for part in (option, file)]
        approvers = [part for file in self._public(*APPROVERS) for part in ("--list-key", file)]
        self._side_by_side(
            ("root", "init", "--out", self._ceremony, *options),
            ("targets", "init", "--out", self._ceremony, "--ledger-policy", self._place.policy, *approvers),
        )
        # A document goes from hand to hand, so while one custodian has the root, the other has the targets.
        for first, second in (CUSTODIANS[:2], CUSTODIANS[1::-1]):
            self._side_by_side(
                ("root", "sign", self._root, "--key", self._key(first)),
                ("targets", "sign", self._targets, "--root", self._root, "--key", self._key(second)),
            )
        self._run("found", self._root, self._targets, "--repository", self._place.repository)
        self._say("root and targets: signed by 2 of 3 custodians; the list: 2 of 3 approvers have to sign")

    def enrol(self) -> None:
        """The people of the registry: approvers enrol one another, then everybody else."""
        first, second, third = APPROVERS

        def enrolment(person: str, role: str, witness: str) -> tuple[object, ...]:
            who = ("--name", person, "--unit", "list-unit", "--role", role, "--public", *self._public(person))
            return ("people", "enrol", person, *who, *self._as(witness))

        self._run(*enrolment(first, "approver", second))
        self._run(*enrolment(second, "approver", first))
        self._side_by_side(enrolment(third, "approver", first), enrolment(EDITOR, EDITOR, second))

    def decide(self, sources: Iterable[Source]) -> list[Decided]:
        """Each order is registered with its scan, and its names are proposed; an approver approves all of it."""
        sources = list(sources)
        scans = self._place.folder / "scans"
        scans.mkdir(exist_ok=True)
        registering, proposing = [], []
        for number, source in enumerate(sources):
            scan = scans / f"{source.order.replace('/', '-')}.txt"
            scan.write_bytes(source.scan)
            registering.append(
                (
                    *("order", "add", source.order, "--date", "2026-01-05", "--issuer", "Sở Mẫu"),
                    *("--legal-basis", "Nghị định mẫu, Điều 1", "--jurisdiction", JURISDICTION, source.reach),
                    *("--scan", scan, *self._as(EDITOR)),
                )
            )
            drafts = self._place.folder / "drafts" / f"{scan.stem}-{number}"
            proposing.append(
                (
                    *("import", source.file, "--release", self._place.release, "--out", drafts),
                    *("--category", source.category, "--order", source.order, source.reach),
                    *("--submit", self._place.config(EDITOR), "--reason", f"As {source.order} asks", "--yes", "--json"),
                )
            )
        self._side_by_side(*registering)
        told = [json.loads(said) for said in self._side_by_side(*proposing)]
        approver = APPROVERS[0]
        asked = [one["id"] for said in told for one in said["proposals"]]
        self._run("approve", *asked, "--yes", *self._as(approver))
        names = sum(said["diff"]["added"] for said in told)
        self._say(f"{len(sources)} orders with their scans; {names} names proposed by {EDITOR}, approved by {approver}")
        return [
            Decided(source, said["diff"]["added"], said["lines"]["refused"])
            for source, said in zip(sources, told, strict=True)
        ]

    def _sign(self, approver: str) -> None:
        """On what would be the approver's own machine: everything is fetched, verified, rebuilt and shown first."""
        place = self._place
        memory = place.folder / approver
        said = self._run(
            *("sign", "--root", self._root, "--repository", f"https://{ADDRESS}:{place.ports.list_https}"),
            *("--memory", memory, "--yes", *self._as(approver)),
        )
        self._say(f"{approver}: rebuilt from the log; {said.strip().splitlines()[-1]}")

    def release(self) -> None:
        """Build; two approvers' signatures, each after rebuilding it from the log; then the server publishes."""
        place = self._place
        folders = ("--log", place.log, "--repository", place.repository)
        self._run("log", "--out", place.log, "--repository", place.repository, *self._as(APPROVERS[0]))
        built = self._told("build", *folders, "--release", place.release)
        self._say(
            f"serial {built['serial']}: records {built['records_digest'][:DIGITS_SHOWN]}…, {built['entries']} entries"
        )
        online = [part for name in ONLINE for part in ("--online-key", self._key(name))]
        publishing = ("publish", "--release", place.release, "--repository", place.repository, *online)
        # Named, a document that lacks signatures is refused; not named, what is published would be renewed.
        named = (*publishing, place.release / "list.json")
        first, second, _ = APPROVERS
        self._sign(first)
        self._say(f"publish: {self._processes.refused(self._command(*named)).splitlines()[-1].strip()}")
        self._sign(second)
        self._run(*publishing)
        self._say("published")
