"""One look at a source: fetched, weighed, compared with the list in force, drafted.

Holds always: a look changes nothing of the list, it drafts; what is not good leaves the last good copy, drafts are made
from that, and the look says why; a draft that a later look no longer makes is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from blocklist_sync.central.diff import Held
from blocklist_sync.central.intake import download, drafts, imports, sources
from blocklist_sync.central.intake.copies import Copies, Good, Look
from blocklist_sync.central.intake.download import Body, Failure, SourceError
from blocklist_sync.central.intake.drafts import Outcome, Progress, Request
from blocklist_sync.central.intake.formats import Refusal
from blocklist_sync.central.intake.sources import SourceSettings
from blocklist_sync.central.rails import rails
from blocklist_sync.central.rails.rails import RailError, Rails
from blocklist_sync.central.runs import Runs
from lachan import durable
from lachan.errors import LachanError


@dataclass(frozen=True)
class Against:
    """What a source is compared with, and by what."""

    held: Callable[[Runs], Iterable[Held]]
    """The list in force, sorted by name; given runs to sort with."""
    rails: Rails


@dataclass(frozen=True)
class Result:
    """How a look went, and what was drafted from the copy that is good."""

    source: SourceSettings
    look: Look
    outcome: Outcome | None
    """None where there is no good copy, or it could not be drafted."""


class Collector:
    """Looks at one source."""

    def __init__(
        self,
        source: SourceSettings,
        folder: Path,
        against: Against,
        refuse: Callable[[Refusal], None],
        progress: Progress | None = None,
    ) -> None:
        """Prepares a look.

        Args:
            source: The source.
            folder: Where what it brings is kept.
            against: What it is compared with.
            refuse: Told of every line that is not taken over.
            progress: Told how far it has come.
        """
        self._source = source
        self.copies = Copies(folder)
        self._against = against
        self._refuse = refuse
        self._progress = progress

    def look(self, now: int) -> Result:
        """Takes what the source brings, if it is good, and drafts what it would change.

        Args:
            now: Seconds since 1970 UTC.

        Raises:
            FileError: The folder cannot be written, or another process works in it.
            CentralError: Its state is malformed.
        """
        durable.make_folder(self.copies.folder)
        with durable.lock(self.copies.folder):
            look, outcome = self._taken(self.copies.last(), now)
            if look.failures and look.good is not None:
                # The last good copy stands; what it would change is drafted all the same.
                try:
                    outcome = self._drafted(self.copies.path(look.good), None)
                except LachanError as error:
                    look = look.more(f"the last good copy: {error}")
            self._tidy(outcome)
            self.copies.note(look)
        return Result(self._source, look, outcome)

    def check(self, now: int) -> Result:
        """Looks and keeps nothing: what `look` would come to.

        Raises:
            FileError: The folder cannot be written, or another process works in it.
            CentralError: Its state is malformed.
        """
        durable.make_folder(self.copies.folder)
        with durable.lock(self.copies.folder):
            last = self.copies.last()
            try:
                self._fetched(None)
                outcome = self._drafted(self.copies.incoming, last.good, write=False)
            except LachanError as error:
                return Result(self._source, last.failed(now, *_told(error)), None)
            finally:
                self.copies.incoming.unlink(missing_ok=True)
        found = rails.refused(outcome.findings)
        if found:
            return Result(self._source, last.failed(now, *_told(RailError(found))), outcome)
        return Result(self._source, Look(now, "good", good=last.good), outcome)

    def _taken(self, last: Look, now: int) -> tuple[Look, Outcome | None]:
        """The look's end, and its drafts; where it failed, the copy is the one before."""
        source, good = self._source, last.good
        try:
            body = self._fetched(good)
            if good is not None and (body is None or body.sha256 == good.sha256):
                if body is not None:
                    good = self.copies.keep(body, good.names, good.refused, now, source.place)
                return last.went(now, "unchanged", good), self._drafted(self.copies.path(good), None)
            if body is None:
                raise SourceError(Failure.STATUS, f"{source.place}: says that nothing changed, and nothing is held")
            outcome = self._drafted(self.copies.incoming, good)
            good = self.copies.keep(body, outcome.lines.names, outcome.lines.refused, now, source.place)
        except LachanError as error:
            return last.failed(now, *_told(error)), None
        return last.went(now, "new", good), outcome

    def _fetched(self, good: Good | None) -> Body | None:
        """What the source brings, in `incoming`; None where it says that it is still the same."""
        source = self._source
        if source.url is None:
            body: Body | None = download.copy(Path(source.place), self.copies.incoming, source.max_bytes)
        else:
            # What another place published knows nothing of this one's validators.
            known = good.validators if good is not None and good.place == source.place else None
            context = download.tls_context(source.ca)
            body = download.download(source.url, self.copies.incoming, source.limits, context, known)
        if body is not None:
            sources.check_body(body)
        return body

    def _drafted(self, path: Path, before: Good | None, *, write: bool = True) -> Outcome:
        """What a copy would change; weighed against the one before, unless it is the good one itself."""
        source = self._source

        def weigh(lines: imports.Counts) -> None:
            sources.weigh(lines, before.names if before is not None else 0, source)

        request = Request([path], source.terms, source.mode == "replace", source.forbidden_names == "leave-out")
        return drafts.draw_up(
            request,
            self._against.held,
            self._against.rails,
            self._refuse,
            self.copies.drafts if write else None,
            self._progress,
            weigh if path == self.copies.incoming else None,
        )

    def _tidy(self, outcome: Outcome | None) -> None:
        """Removes drafts that this look did not make."""
        made = {
            path for draft in (outcome.drafts if outcome is not None else ()) for path in (draft.path, draft.changes)
        }
        for path in self.copies.drafts.glob("*"):
            if path not in made:
                path.unlink(missing_ok=True)


def _told(error: LachanError) -> tuple[str, str]:
    """A failure's kind and its words."""
    if isinstance(error, SourceError):
        return error.failure.value, error.detail
    if isinstance(error, RailError):
        return Failure.RAILS.value, str(error)
    return Failure.STORAGE.value, str(error)
