"""`lachan-blocklist import` and `diff`: source files against the list in force, and drafts of proposals from them.

Holds always: neither changes the list; what a draft holds becomes a proposal when somebody signs it, and takes effect
when somebody else approves it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from blocklist_sync.artifact.categories import CATEGORY_OF_LABEL, Category
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central import inforce
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake import drafts
from blocklist_sync.central.intake.drafts import Outcome, Request
from blocklist_sync.central.intake.formats import Format
from blocklist_sync.central.intake.imports import Terms
from blocklist_sync.central.log import fold
from blocklist_sync.central.log.folder import Checkpoint, LogFolder
from blocklist_sync.central.rails import rails
from blocklist_sync.central.rails.rails import RailError
from blocklist_sync.central.registry.errors import ConflictError
from blocklist_sync.central.release.candidate import ReleaseFolder
from blocklist_sync.central.verbs.common import ApproverKeys, ApproversRepository, Json, approvers_of, given_order
from blocklist_sync.central.verbs.findings import show_findings
from blocklist_sync.central.verbs.progress import Bar
from blocklist_sync.central.verbs.refusals import SHOWN, Refusals
from lachan import terminal

Files = Annotated[
    list[Path], typer.Argument(help="Hosts, plain or Adblock-style lists, dnsmasq, RPZ, or CSV with order numbers.")
]
Release = Annotated[Path | None, typer.Option(help="The release folder, whose list is in force.")]
LogOption = Annotated[
    Path | None,
    typer.Option(
        "--log", help="Instead: the approvals log as `log` fetched it, verified here; what it leaves is in force."
    ),
]
CategoryOption = Annotated[str | None, typer.Option(help="One of the closed set; CSV may name it line by line.")]
OrderOption = Annotated[str | None, typer.Option(help="The legal order's number; CSV names it line by line.")]
Mandated = Annotated[
    bool | None,
    typer.Option("--mandated/--profile-only", help="For everybody, or for profiles that ask for the category."),
]
Exact = Annotated[bool, typer.Option(help="The names alone, not what is below them.")]
FormatOption = Annotated[Format | None, typer.Option("--format", help="Told from each file if not given.")]
Replace = Annotated[
    bool, typer.Option("--replace/--add", help="Remove what the order lists and the files no longer have; or only add.")
]
LeaveOut = Annotated[
    bool, typer.Option(help="Refuse lines whose names must never be blocked, instead of all of the import.")
]
RailsOption = Annotated[
    Path | None, typer.Option("--rails", help="A file of rails; deploy/examples/rails.yaml shows one.")
]
MaxRefused = Annotated[int, typer.Option(min=0, help="Refused lines printed.")]


def terms(category: str | None, order: str | None, mandated: bool | None, exact: bool, form: Format | None) -> Terms:
    """The terms that a command's options say.

    Raises:
        CentralError: There is no such category, or the order's number is unfit.
    """
    if category is not None and category not in CATEGORY_OF_LABEL:
        raise CentralError(f"--category: {category!r} is none; there are {', '.join(CATEGORY_OF_LABEL)}")
    held: Category | None = CATEGORY_OF_LABEL[category] if category is not None else None
    if order is not None:
        order = given_order(order)
    return Terms(held, order, mandated, Scope.EXACT if exact else Scope.SUBTREE, form)


def document(outcome: Outcome, refusals: Refusals) -> dict[str, Any]:
    """What an import came to, as JSON has it."""
    counts = outcome.diff
    return {
        "lines": {
            "names": outcome.lines.names,
            "entries": outcome.lines.entries,
            "refused": outcome.lines.refused,
            "refused_by_reason": outcome.lines.reasons,
            "first_refused": refusals.document(),
        },
        "diff": {
            "in_force": outcome.state.entries,
            "added": counts.added,
            "removed": counts.removed,
            "changed": counts.changed,
            "unchanged": counts.unchanged,
            "first": counts.first,
        },
        "findings": [drafts.told(finding) for finding in outcome.findings],
        "drafts": [
            {
                "order": draft.order.text,
                "mandated": draft.order.mandated,
                "draft": str(draft.path),
                "changes": str(draft.changes),
                "changes_sha256": draft.summary.digest.hex(),
                "added": draft.summary.added,
                "removed": draft.summary.removed,
            }
            for draft in outcome.drafts
        ],
    }


def show(outcome: Outcome) -> None:
    """What an import came to, as tables."""
    counts, lines = outcome.diff, outcome.lines
    rows: list[tuple[str, object, str]] = [
        (sort, getattr(counts, sort), ", ".join(counts.first[sort][:5])) for sort in ("added", "removed", "changed")
    ]
    rows += [("unchanged", counts.unchanged, ""), ("in force (entries)", outcome.state.entries, "")]
    rows += [("refused lines", lines.refused, "")]
    rows += [(f"refused: {reason}", count, "") for reason, count in sorted(lines.reasons.items())]
    terminal.table("Difference", ("", "names", "the first"), rows)
    by_kind = sorted(counts.entries.items(), key=lambda item: (item[0][0].order, item[0][0].category, not item[0][1]))
    if by_kind:
        terminal.table(
            "Entries",
            ("order", "category", "effect", "scope", "for", "come or go", "entries"),
            [
                (
                    kind.order.text,
                    kind.category.label,
                    "except" if kind.exception else "block",
                    kind.scope.value,
                    "everybody" if kind.order.mandated else "profiles",
                    "come" if comes else "go",
                    count,
                )
                for (kind, comes), count in by_kind
            ],
        )
    show_findings(outcome.findings)
    if outcome.drafts:
        terminal.table(
            "Drafts",
            ("order", "added", "removed", "draft"),
            [(draft.order.text, draft.summary.added, draft.summary.removed, draft.path) for draft in outcome.drafts],
        )


@dataclass(frozen=True)
class _Standing:
    """Where what is in force is known from: the release folder, or a log and whose keys it is verified by."""

    release: Path | None
    log: Path | None
    repository: Path | None
    approvers: Sequence[Path]

    @contextmanager
    def opened(self) -> Iterator[Path]:
        """The clear list, as a file.

        Raises:
            CentralError: Neither was given, or both; or the log does not verify.
        """
        if (self.release is None) == (self.log is None):
            raise CentralError("give --release or --log: one of them")
        if self.release is not None:
            yield ReleaseFolder(self.release).entries_path
            return
        assert self.log is not None  # noqa: S101  one of them is given
        source = LogFolder(self.log)
        with tempfile.TemporaryDirectory(prefix="lachan-import-") as folder:
            log = source.verified(approvers_of(self.repository, self.approvers), Checkpoint())
            yield fold.fold(log, int(time.time()), source.text_of, Path(folder) / "state.tsv").path


@dataclass(frozen=True)
class _Submission:
    """In whose name drafts become proposals, and why."""

    person: Path
    reason: str
    agreed: bool

    def __post_init__(self) -> None:
        if not self.reason:
            raise CentralError("--submit: a proposal says why: give --reason")

    def make(self, outcome: Outcome) -> dict[str, Any]:
        """The proposals that the registry has now, and what waits there already and was not proposed again."""
        from blocklist_sync.central.verbs import proposal, registry

        proposed: list[dict[str, Any]] = []
        waiting: list[str] = []
        for draft in outcome.drafts:
            try:
                proposed.append(registry.proposal_document(proposal.from_draft(self.person, draft.path, self.reason)))
            except ConflictError as error:
                waiting.append(f"{draft.order.text}: {error}")
        return {"proposals": proposed, "waiting": waiting}

    def allowed(self, outcome: Outcome, *, as_json: bool) -> bool:
        """Whether to go on, seen what would be proposed."""
        if self.agreed or not outcome.drafts:
            return True
        if as_json or not sys.stdin.isatty():
            raise CentralError("--submit: nobody can be asked here: give --yes, or propose the drafts by themselves")
        return typer.confirm("Propose this?", err=True)


def _run(
    request: Request,
    standing: _Standing,
    rails_file: Path | None,
    max_refused: int,
    as_json: bool,
    out: Path | None = None,
    submission: _Submission | None = None,
) -> None:
    refusals = Refusals(max_refused)
    guard = rails.load(rails_file)
    try:
        with standing.opened() as listed, Bar() as bar:
            held = partial(inforce.from_entries, listed)
            outcome = drafts.draw_up(request, held, guard, refusals, out, bar)
    except RailError as error:
        if as_json:
            terminal.document({"findings": [drafts.told(finding) for finding in error.findings]})
        raise
    finally:
        refusals.close()
    told = document(outcome, refusals)
    if not as_json:
        show(outcome)
    if submission is not None and submission.allowed(outcome, as_json=as_json):
        made = submission.make(outcome)
        told |= made
        if not as_json:
            _show_proposals(made)
    if as_json:
        terminal.document(told)


def _show_proposals(made: dict[str, Any]) -> None:
    if made["proposals"]:
        terminal.table(
            "Proposals",
            ("id", "state", "order", "approvals needed"),
            [
                (one["id"], one["state"], one["header"]["order"]["number"], one["approvals_needed"])
                for one in made["proposals"]
            ],
        )
    for one in made["waiting"]:
        terminal.line(f"not proposed again: {one}")


def import_(
    files: Files,
    out: Annotated[Path, typer.Option(help="The folder for drafts; made with mode 0700.")],
    release: Release = None,
    log: LogOption = None,
    repository: ApproversRepository = None,
    approver: ApproverKeys = None,
    category: CategoryOption = None,
    order: OrderOption = None,
    mandated: Mandated = None,
    exact: Exact = False,
    form: FormatOption = None,
    replace: Replace = False,
    leave_out: LeaveOut = False,
    rails_file: RailsOption = None,
    submit: Annotated[
        Path | None,
        typer.Option(metavar="PERSON", help="Propose the drafts, signed as deploy/examples/person.yaml says."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the proposals; kept for ever.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Propose without asking, for programs.")] = False,
    max_refused: MaxRefused = SHOWN,
    as_json: Json = False,
) -> None:
    """Drafts proposals from source files; what is in force is not drafted, what waits not proposed, a second time."""
    submission = _Submission(submit, reason, yes) if submit is not None else None
    request = Request(files, terms(category, order, mandated, exact, form), replace, leave_out)
    standing = _Standing(release, log, repository, approver or ())
    _run(request, standing, rails_file, max_refused, as_json, out, submission)


def diff(
    files: Files,
    release: Release = None,
    log: LogOption = None,
    repository: ApproversRepository = None,
    approver: ApproverKeys = None,
    category: CategoryOption = None,
    order: OrderOption = None,
    mandated: Mandated = None,
    exact: Exact = False,
    form: FormatOption = None,
    replace: Replace = False,
    leave_out: LeaveOut = False,
    rails_file: RailsOption = None,
    max_refused: MaxRefused = SHOWN,
    as_json: Json = False,
) -> None:
    """Shows what an import would change: added, removed, changed, refused, and what rails say; writes nothing."""
    request = Request(files, terms(category, order, mandated, exact, form), replace, leave_out)
    _run(request, _Standing(release, log, repository, approver or ()), rails_file, max_refused, as_json)
