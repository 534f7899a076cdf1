"""`lachan-blocklist`: from source files to a signed, served list."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from blocklist_sync.artifact import policy as policy_bundle
from blocklist_sync.artifact import snapshot
from blocklist_sync.artifact.categories import ALWAYS_MANDATED, CATEGORY_OF_LABEL, Category
from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.artifact.policy import PolicyBundle
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central import build as building
from blocklist_sync.central.build import Built, Source
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.formats import Format, Refusal
from blocklist_sync.central.release import ReleaseFolder
from blocklist_sync.central.verbs import (
    explain,
    history,
    imports,
    order,
    person,
    proposal,
    rpz,
    rpz_operators,
    sources,
)
from lachan import config, durable, log, terminal

MAX_REFUSED_SHOWN = 50

app = typer.Typer(
    name="lachan-blocklist", help="Builds, signs and serves the list.", no_args_is_help=True, add_completion=False
)
keys_app = typer.Typer(help="The keys that sign releases.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
app.command("rpz")(rpz.rpz)
app.command("rpz-operators")(rpz_operators.rpz_operators)
app.command("import")(imports.import_)
app.command("diff")(imports.diff)
app.add_typer(sources.app, name="source")
app.command("explain")(explain.explain)
app.add_typer(order.app, name="order")
app.add_typer(person.app, name="people")
app.add_typer(proposal.app, name="proposals")
app.command("propose")(proposal.propose)
app.command("revoke")(proposal.revoke)
app.command("approve")(proposal.approve)
app.command("reject")(proposal.reject)
app.command("withdraw")(proposal.withdraw)
app.command("log")(history.log)
app.command("due")(history.due)
app.command("review")(history.review)
app.command("overdue")(history.overdue)

Json = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")]
Duration = Annotated[str, typer.Option(metavar="DURATION")]


@contextmanager
def _artifact() -> Iterator[None]:
    """The one place where what the artifact raises becomes this command's error."""
    try:
        yield
    except ArtifactError as error:
        raise CentralError(str(error)) from error


class _Refusals:
    """Prints the first refused lines and counts the rest by reason."""

    def __init__(self, shown: int) -> None:
        self.by_reason: dict[str, int] = {}
        self._shown = shown
        self._count = 0

    def __call__(self, refusal: Refusal) -> None:
        self.by_reason[refusal.reason] = self.by_reason.get(refusal.reason, 0) + 1
        self._count += 1
        if self._count <= self._shown:
            terminal.complain(f"{refusal.file}:{refusal.line}: {refusal.reason}: {refusal.text!r}")

    def close(self) -> None:
        if self._count > self._shown:
            terminal.complain(f"… and {self._count - self._shown} more refused lines")


def _policy(path: Path | None) -> PolicyBundle | None:
    if path is None:
        return None
    with _artifact():
        return policy_bundle.parse(durable.read(path, policy_bundle.MAX_BYTES))


def _category(label: str) -> Category:
    try:
        return CATEGORY_OF_LABEL[label]
    except KeyError:
        raise CentralError(f"{label!r} is no category; there are {', '.join(CATEGORY_OF_LABEL)}") from None


@app.command()
def build(
    files: Annotated[list[Path], typer.Argument(help="Hosts, plain or Adblock-style lists.")],
    category: Annotated[str, typer.Option(help="One of the closed set: gambling, scam…")],
    order: Annotated[str, typer.Option(help="The legal order's number.")],
    out: Annotated[Path, typer.Option(help="The release folder.")],
    mandated: Annotated[
        bool | None,
        typer.Option("--mandated/--profile-only", help="For everybody, or for profiles that ask for the category."),
    ] = None,
    exact: Annotated[bool, typer.Option(help="The names alone, not what is below them.")] = False,
    extend: Annotated[bool, typer.Option(help="Keep what the folder holds already.")] = False,
    form: Annotated[Format | None, typer.Option("--format", help="Told from each file if not given.")] = None,
    policy: Annotated[Path | None, typer.Option(help="A policy bundle (JSON) to carry from now on.")] = None,
    new_key_epoch: Annotated[bool, typer.Option(help="Draw a new fingerprint key: yearly, or after a leak.")] = False,
    max_refused: Annotated[int, typer.Option(min=0, help="Refused lines printed.")] = MAX_REFUSED_SHOWN,
    as_json: Json = False,
) -> None:
    """Builds the next release from source files; every line it cannot take over is reported."""
    wanted = _category(category)
    everybody = wanted in ALWAYS_MANDATED if mandated is None else mandated
    source = Source(files, wanted, order, everybody, Scope.EXACT if exact else Scope.SUBTREE, form)
    folder = ReleaseFolder(out)
    refusals = _Refusals(max_refused)
    bundle = _policy(policy)
    with folder.locked(), _artifact():
        built = building.build(
            folder, source, refuse=refusals, extend=extend, bundle=bundle, new_key_epoch=new_key_epoch
        )
    refusals.close()
    _show_built(built, refusals.by_reason, as_json=as_json)


def _show_built(built: Built, reasons: dict[str, int], *, as_json: bool) -> None:
    summary = {
        "serial": built.candidate.serial,
        "records_digest": built.candidate.records_digest,
        "names": built.candidate.names,
        "records": built.candidate.records,
        "entries": built.entries,
        "accepted": built.accepted,
        "refused": built.refused,
        "new": built.added,
        "unchanged": built.unchanged,
    }
    if as_json:
        terminal.document(summary | {"refused_by_reason": reasons})
        return
    rows = [*summary.items(), *((f"refused: {reason}", count) for reason, count in sorted(reasons.items()))]
    terminal.table("Release", ("", ""), rows)


@keys_app.command("init")
def keys_init(out: Annotated[Path, typer.Option(help="A folder for the keys; made with mode 0700.")]) -> None:
    """Draws the keys of every role, each in its own file."""
    from blocklist_sync.central import keys

    for path in keys.init(out):
        terminal.line(str(path))


def _seconds(text: str, option: str) -> float:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(config.Duration).validate_python(text)
    except ValidationError as error:
        raise CentralError(f"{option}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error


@app.command()
def publish(
    release: Annotated[Path, typer.Option(help="The release folder.")],
    repository: Annotated[Path, typer.Option(help="The folder of static files.")],
    keys: Annotated[Path, typer.Option(help="The folder of keys.")],
    urgent: Annotated[bool, typer.Option(help="Edges should hurry.")] = False,
    canary_first: Annotated[
        str, typer.Option(metavar="DURATION", help="Canary edges have a new release for so long before others.")
    ] = "0s",
    list_lifetime: Duration = "30d",
    snapshot_lifetime: Duration = "7d",
    timestamp_lifetime: Duration = "24h",
    as_json: Json = False,
) -> None:
    """Signs the release and publishes it; run again, it renews the signatures that expire."""
    from blocklist_sync.central import keys as keyring
    from blocklist_sync.central import publish as publishing

    lifetimes = publishing.Lifetimes(
        list=_seconds(list_lifetime, "--list-lifetime"),
        snapshot=_seconds(snapshot_lifetime, "--snapshot-lifetime"),
        timestamp=_seconds(timestamp_lifetime, "--timestamp-lifetime"),
    )
    folder = ReleaseFolder(release)
    with folder.locked():
        outcome = publishing.publish(
            folder,
            repository,
            keyring.load(keys),
            now=int(time.time()),
            lifetimes=lifetimes,
            urgent=urgent,
            hold=_seconds(canary_first, "--canary-first"),
        )
    summary = {**asdict(outcome.release), "new": outcome.new, "root": str(outcome.root)}
    if as_json:
        terminal.document(summary)
    else:
        terminal.table("Published", ("", ""), summary.items())


@app.command()
def verify(
    release: Annotated[Path, typer.Argument(help="The release folder.")],
    rules: Annotated[Path | None, typer.Option("--snapshot", help="A snapshot that must be of this release.")] = None,
    as_json: Json = False,
) -> None:
    """Checks that the clear list, the records and a snapshot say the same."""
    folder = ReleaseFolder(release)
    with _artifact():
        parsed = folder.release()
        candidate = folder.candidate()
        entries = folder.entries()
        epoch = candidate.key_epoch if candidate else 1
        again, _ = building.encode(entries, parsed.serial, folder, epoch)
        if again != parsed.data:
            raise CentralError(f"{folder.records_path}: not what {folder.entries_path} says; build again")
        bundle = folder.policy()
        if rules is not None:
            data = durable.read(rules, snapshot.MAX_BYTES)
            opened = snapshot.verify(data)
            if snapshot.build(parsed) != data:
                raise CentralError(f"{rules}: of serial {opened.serial}, not the snapshot of these records")
    counts = {category.label: count for category, count in entries.by_category().items()}
    summary = {"serial": parsed.serial, "records_digest": parsed.digest.hex(), "names": parsed.names, **counts}
    if as_json:
        terminal.document(
            summary | {"profiles": {name: sorted(c.label for c in p) for name, p in bundle.profiles.items()}}
        )
    else:
        terminal.table("Holds", ("", ""), summary.items())


@app.command()
def serve(
    configuration: Annotated[Path, typer.Option("--config", help="deploy/examples/list.yaml shows one.")],
) -> None:
    """Serves the repository over HTTPS, announces releases to edges and gives samples to compliance, until SIGTERM."""
    from blocklist_sync.central import server
    from blocklist_sync.central.registry.schema import DATABASE
    from blocklist_sync.central.settings import ListSettings
    from lachan import postgres

    settings = config.load(configuration, ListSettings)
    log.configure("blocklist", settings.log.form, settings.log.level)

    def started(https_port: int, grpc_port: int | None, push_port: int | None) -> None:
        terminal.document({"https_port": https_port, "grpc_port": grpc_port, "push_port": push_port})
        sys.stdout.flush()

    with ExitStack() as stack:
        # An embedded server, where one is asked for, is to be started before the loop.
        registry = settings.registry
        database = stack.enter_context(postgres.database(registry.database, DATABASE)) if registry else None
        asyncio.run(server.serve(settings, database, started))


main = terminal.run(app)
