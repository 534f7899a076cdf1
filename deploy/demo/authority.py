"""The list authority's people in the demo, and the road of a release as they would type it.

Two custodians hold root and top-level targets, an editor proposes, an approver approves, both approvers rebuild and
sign, and the server's own keys publish. Every step is a command of the product; the keys lie in the clear, since nobody
is there to type a passphrase.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from deploy.demo.catalogue import Source
from deploy.demo.place import Place, program
from deploy.demo.processes import Processes

CUSTODIANS = ("custodian-1", "custodian-2")
APPROVERS = ("approver-1", "approver-2")
EDITOR = "editor"
ONLINE = ("snapshot", "timestamp")


class Authority:
    """Everybody at the list authority."""

    def __init__(self, place: Place, processes: Processes) -> None:
        self._place = place
        self._processes = processes
        self._ceremony = place.folder / "ceremony"
        self._log = place.folder / "log"

    def _side_by_side(self, *commands: Sequence[object]) -> list[str]:
        return self._processes.run([[program("lachan-blocklist"), *map(str, words)] for words in commands])

    def _run(self, *arguments: object) -> str:
        return self._side_by_side(arguments)[0]

    def _key(self, person: str) -> Path:
        return self._place.keys / f"{person}.pem"

    def _public(self, *people: str) -> list[Path]:
        return [self._key(person).with_suffix(".pub.json") for person in people]

    @property
    def _root(self) -> Path:
        return self._ceremony / "1.root.json"

    @property
    def _targets(self) -> Path:
        return self._ceremony / "1.targets.json"

    def key_commands(self) -> list[Sequence[str]]:
        """Everybody draws a key of their own; side by side."""
        people = (*CUSTODIANS, *APPROVERS, EDITOR, *ONLINE)
        new = [program("lachan-blocklist"), "keys", "new", "--in-the-clear"]
        return [[*new, "--person", person, "--out", str(self._key(person))] for person in people]

    def found(self) -> None:
        """The ceremony: root and top-level targets, each signed by both custodians; then the people of the log."""
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
            ("targets", "init", "--out", self._ceremony, *approvers),
        )
        # A document goes from hand to hand, so while one custodian has the root, the other has the targets.
        for first, second in (CUSTODIANS, CUSTODIANS[::-1]):
            self._side_by_side(
                ("root", "sign", self._root, "--key", self._key(first)),
                ("targets", "sign", self._targets, "--root", self._root, "--key", self._key(second)),
            )
        self._run("found", self._root, self._targets, "--repository", self._place.repository)
        first, second = APPROVERS
        for person, role, witness in (
            (first, "approver", second),
            (second, "approver", first),
            (EDITOR, EDITOR, first),
        ):
            self._run(
                *("trial", "enrol", "--log", self._log, "--targets", self._targets, "--id", person, "--name", person),
                *("--role", role, "--public", *self._public(person), "--person", witness, "--key", self._key(witness)),
            )

    def decide(self, sources: Iterable[Source]) -> list[tuple[Source, dict[str, int]]]:
        """The editor proposes each source under its order; an approver approves them."""
        log = ("--log", self._log, "--targets", self._targets)
        told = []
        for source in sources:
            asked = ("trial", "propose", *log, "--person", EDITOR, "--key", self._key(EDITOR), "--json")
            told.append((source, json.loads(self._run(*asked, *source.arguments()))))
        self._run("trial", "approve", *log, "--person", APPROVERS[0], "--key", self._key(APPROVERS[0]))
        return told

    def release(self) -> None:
        """Build, both approvers' signatures, each after rebuilding it from the log; then the server publishes."""
        place = self._place
        folders = ("--log", self._log, "--repository", place.repository)
        self._run("build", *folders, "--release", place.release, "--json")
        # Each approver signs a copy, on what would be their own machine; the server brings the signatures together.
        copies = [place.folder / approver / "list.json" for approver in APPROVERS]
        for copy in copies:
            copy.parent.mkdir(exist_ok=True)
            shutil.copy(place.release / "list.json", copy)
        self._side_by_side(
            *(
                (
                    *("sign", *folders, "--root", self._root, "--memory", copy.parent / "memory"),
                    *("--document", copy, "--policy", place.release / "policy.json"),
                    *("--key", self._key(approver), "--yes"),
                )
                for approver, copy in zip(APPROVERS, copies, strict=True)
            )
        )
        online = [part for name in ONLINE for part in ("--online-key", self._key(name))]
        self._run("publish", *copies, "--release", place.release, "--repository", place.repository, *online)
