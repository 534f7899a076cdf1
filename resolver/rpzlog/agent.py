"""The hit log agent: the composition root of a node that reports for a resolver which is not ours.

It follows the log, counts hits by category and action, and tells each closed window once, in the same signed chain as
an edge's reports. Holds always: what it kept after a kill is one moment's: counts and place in the log together; of a
line, nothing is kept or sent but a count; what it cannot know is left out of the report, which says so.

The guarantee: as long as the log is there, each line is counted once, whatever dies meanwhile. What a rotation took
away unread is told as a gap; what is read after its window was told is told as late, and counted in no window.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from blocklist_sync.artifact.errors import ArtifactError
from blocklist_sync.edge import pins
from blocklist_sync.edge.activate import FOLDER, Activation
from blocklist_sync.edge.agent import Agent as Sync
from lachan import clock, durable, endpoint, log
from lachan.compliance.v1 import report_pb2 as pb
from lachan.config import split_host_port
from lachan.renewal import Renewal
from lachan.spool import Spool, SpoolError
from resolver import privileges
from resolver.authority import FEW_CLIENTS
from resolver.challenged import challenged
from resolver.enrolment import signing_key
from resolver.errors import ResolverError
from resolver.openings import HOUR, Openings
from resolver.report import EPOCH_BYTES, ClockState, ListState, Reporter
from resolver.rpzlog import asking, metrics
from resolver.rpzlog.follow import Follower, Turn
from resolver.rpzlog.hits import MalformedError, reader
from resolver.rpzlog.judging import List, judge
from resolver.rpzlog.settings import HitsFile, MetricsSettings
from resolver.rpzlog.tally import MAX_BYTES, Tally, TallyError
from resolver.uplink import Uplink

TALLY_FILE = "hits.json"
RETRY_SECONDS = 1.0
LOOK_SECONDS = 1.0


class HitLogAgent:
    """Everything but the loop around it."""

    def __init__(self, file: HitsFile, spool: Spool, now: int, entropy: Callable[[int], bytes] = os.urandom) -> None:
        """Goes on from what was kept.

        Raises:
            FileError: The state cannot be read.
            lachan.signing.SigningError: The node's key cannot be.
        """
        self._file = file
        self._path = file.state_dir / TALLY_FILE
        self._seconds = int(file.report.window)
        self._follower = Follower(file.log.path)
        self._read = reader(file.log.form, file.zone.origin, file.log.log_name)
        self._reporter = Reporter(spool, signing_key(file.state_dir), file.organisation, file.node)
        self._lists: list[List] = []
        self._steps = clock.StepDetector(clock.read())
        self._kept = b""
        self._complained = ""
        self.sync = Sync(file.sync, file.state_dir)
        self.tally = self._begin(now, entropy)
        # Nothing is opened at a node of few clients, so nothing is counted for it either.
        self.tally.count_rules(now, wanted=file.report.openings.clients > FEW_CLIENTS)
        # The tally knows of which hours it has all.
        self.openings = Openings(file.state_dir / "openings", self.tally, 0, self._names)
        self.seen = self.tally.seen.copy()
        """What was read since the start, up to a moment: another one each time, so that other threads may read it."""
        self.held_serial = 0

    def _begin(self, now: int, entropy: Callable[[int], bytes]) -> Tally:
        fresh = Tally(entropy(EPOCH_BYTES), now)
        if not self._path.exists():
            if self._reporter.head() is not None:
                # Reports were made before: how far the log was read then is not known any more.
                fresh.note(now, self._seconds, self._spans(), gaps=1)
            return fresh
        try:
            self._kept = durable.read(self._path, MAX_BYTES)
            return Tally.decode(self._kept)
        except TallyError as error:
            log.get().error("the counts kept cannot be read: begun anew", reason=str(error))
            fresh.note(now, self._seconds, self._spans(), gaps=1)
            return fresh

    def _names(self) -> Sequence[int]:
        return self._lists[0].fingerprints() if self._lists else ()

    def _spans(self) -> tuple[tuple[int, int], ...]:
        head = self._reporter.head()
        return head.spans if head is not None else ()

    def take(self, activation: Activation) -> None:
        """Looks names up in another release from now on, and in the one before where that alone has them.

        Raises:
            ResolverError: It cannot be used.
        """
        try:
            self._lists = [List.of(activation), *self._lists[:1]]
            self.held_serial = activation.serial
        except (ArtifactError, durable.FileError) as error:
            raise ResolverError(f"{activation.snapshot}: {error}") from error

    def turn(self, now: int) -> int:
        """Reads on, counts, keeps, and tells what is due; how many windows that were. Blocks.

        Raises:
            SpoolError, FileError, OSError: The disk; what was not done is done by a later turn.
            ResolverError: The values fit into no report.
        """
        if not self._lists:
            # Without a list, every hit would be unknown: the log keeps them until there is one.
            return 0
        while True:
            turn = self._follower.read(self.tally.place)
            self._count(turn, now)
            self._keep()
            if turn.caught_up:
                break
        return self._tell(now)

    def _count(self, turn: Turn, now: int) -> None:
        tally, seconds, spans = self.tally, self._seconds, self._spans()
        tally.place = turn.place
        malformed = turn.overlong
        for line in turn.lines:
            try:
                hit = self._read(line)
            except MalformedError:
                malformed += 1
                continue
            if hit is None or hit.name == self._file.zone.status_name:
                continue
            tally.count(hit.at, judge(hit, self._lists, self._file.zone.profile), now, seconds, spans)
        if malformed or turn.gaps:
            tally.note(now, seconds, spans, malformed=malformed, gaps=turn.gaps)
        self.seen = tally.seen.copy()

    def _keep(self) -> None:
        data = self.tally.encode()
        if data != self._kept:
            durable.write(self._path, [data])
            self._kept = data

    def _tell(self, now: int) -> int:
        tally, told = self.tally, 0
        # A window is told only once the log was read beyond it.
        for start in self._reporter.due(now - self._file.log.settle, tally.created_at, self._seconds):
            self._reporter.write(
                tally.counts(start, self._seconds),
                tally.epoch,
                self._list_state(),
                self._clock(),
                now,
                enforcing=pb.ACTION_SHADOW not in {action for _, action in self._cells(start)},
                hit_log=self._hit_log(start),
                commitment=self.openings.root_before(start) if tally.rules_since else None,
            )
            told += 1
            tally.forget_rules(start - start % HOUR)
        if told:
            # A kill before this leaves windows that the chain's head says were told: forgotten then as now.
            tally.forget(self._spans())
            self._keep()
        return told

    def _cells(self, start: int) -> list[tuple[int, int]]:
        window = self.tally.windows.get(start)
        return list(window.blocked) if window is not None else []

    def _hit_log(self, start: int) -> pb.HitLog:
        window, told = self.tally.windows.get(start), pb.HitLog(form=self._file.log.form.number)
        told.serial_asked_at = self.tally.serial_asked_at
        if window is not None:
            told.unknown, told.malformed, told.late, told.gaps = (
                window.unknown, window.malformed, window.late, window.gaps
            )  # fmt: skip
        return told

    def _list_state(self) -> ListState:
        """The release that the resolver answers by, which is not the one that this node holds."""
        tally, refused = self.tally, sum(self.sync.refused.values())
        return ListState(tally.serial, tally.records_digest, tally.serial_since, self.sync.checked_at, refused)

    def _clock(self) -> ClockState:
        self._steps.observe(clock.read())
        discipline = clock.discipline()
        return ClockState(discipline.synchronised, discipline.max_error_us, self._steps.take())

    def heard(self, said: asking.Said | None, now: int) -> None:
        """Takes the resolver's word; what it does not say leaves what it said before, with its time."""
        complaint = ""
        if said is None:
            complaint = "the resolver does not say by which release it answers"
        elif said.profile != self._file.zone.profile:
            complaint = f"the resolver applies the zone of profile {said.profile}, not {self._file.zone.profile}"
        else:
            self.tally.answered_by(said.serial, said.records_digest, now)
        if complaint and complaint != self._complained:
            log.get().warning(complaint, name=self._file.zone.status_name)
        self._complained = complaint


async def _following(agent: HitLogAgent, file: HitsFile, spooled: Callable[[], None]) -> None:
    while True:
        try:
            if await asyncio.to_thread(agent.turn, int(time.time())):
                spooled()
        except (SpoolError, ResolverError, durable.FileError, OSError) as error:
            log.get().error("the log was not read or a window not told; trying again", reason=str(error))
            await asyncio.sleep(RETRY_SECONDS)
        await asyncio.sleep(file.log.poll)


async def _asking(agent: HitLogAgent, file: HitsFile) -> None:
    while True:
        agent.heard(await asking.ask(file.zone.resolver, file.zone.status_name), int(time.time()))
        await asyncio.sleep(file.zone.ask)


async def _watching(agent: HitLogAgent) -> None:
    """Looks at how current the list is; the log tells what changes, the metrics what there is."""
    while True:
        agent.sync.look()
        await asyncio.sleep(LOOK_SECONDS)


def _metrics(
    settings: MetricsSettings, agent: HitLogAgent, spool: Spool, uplink: Uplink | None, renewal: Renewal | None
) -> contextlib.AbstractContextManager[tuple[str, int]]:
    def read() -> metrics.Snapshot:
        tally = agent.tally
        return metrics.Snapshot(
            now=time.time(),
            seen=agent.seen,
            held_serial=agent.held_serial,
            checked_at=agent.sync.checked_at,
            serial=tally.serial,
            serial_asked_at=tally.serial_asked_at,
            sync=agent.sync.state(),
            alarms=agent.sync.board.raised,
            spool=spool.stats(),
            uplink=uplink.status if uplink is not None else None,
            certificate_ends=renewal.expires_at if renewal is not None else 0.0,
        )

    host, port = split_host_port(settings.listen)
    return endpoint.serve(host, port, metrics.registry(read), lambda: metrics.problems(read()))


async def serve(file: HitsFile) -> None:
    """Runs until cancelled."""
    # Its memory holds lines of the log.
    privileges.forbid_cores()
    durable.make_folder(file.state_dir)
    with contextlib.ExitStack() as held:
        held.enter_context(durable.lock(file.state_dir))
        spool = Spool(Path(file.state_dir / "reports.spool"))
        held.callback(spool.close)
        agent = HitLogAgent(file, spool, int(time.time()))
        activation = agent.sync.current()
        if activation is not None:
            agent.take(activation)
        else:
            log.get().error("there has never been a list: the log is read once one arrives")

        async def activated(release: Activation) -> None:
            await asyncio.to_thread(agent.take, release)

        jobs = [agent.sync.run(activated), _asking(agent, file), _watching(agent)]
        wake: Callable[[], None] = lambda: None  # noqa: E731 # nobody to wake without an uplink
        uplink: Uplink | None = None
        renewal: Renewal | None = None
        if file.report.uplink is not None:
            signed = file.state_dir / FOLDER / pins.FILE
            uplink = Uplink(file.report.uplink, spool, window=file.report.window, signed=signed)
            wake = uplink.wake
            jobs.append(uplink.run())
            renewal = Renewal(file.report.uplink.target, file.report.uplink.tls, random.SystemRandom())
            jobs.append(renewal.run())
            jobs.append(challenged(file, agent.openings, signing_key(file.state_dir)))
        if file.metrics is not None:
            # Last, so that who is answered asks an agent that is whole.
            held.enter_context(_metrics(file.metrics, agent, spool, uplink, renewal))
        async with asyncio.TaskGroup() as group:
            for job in (*jobs, _following(agent, file, wake)):
                group.create_task(job)
