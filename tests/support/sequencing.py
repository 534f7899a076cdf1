"""A sequencer with witnesses in one process, for tests; run as a program, it is killed at every step that it takes.

`python -m tests.support.sequencing URL FOLDER` adds a leaf and takes a turn, and ends itself with SIGKILL at the first
step; then again, up to the second step; and so on until a turn is whole. It prints how many steps that has.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_api.ledger import submission
from compliance_api.ledger.cosigning import Failure
from compliance_api.ledger.witness import Witness
from compliance_api.storage.ledger.leaves import NewLeaf, append
from compliance_api.storage.ledger.sequence import LedgerSequence
from compliance_api.usecases.ledger.sequence import Log, Reply, Sequencer, WitnessError
from lachan import postgres
from lachan.ledger.leaf import Kind
from lachan.signing import SigningKey
from tests.support.ledger import ORIGIN, Parties

PARTIES = ("log", "w1", "w2", "w3")
STEPS_MAX = 200


def parties_in(folder: Path) -> Parties:
    """A log and three witnesses whose keys are kept in a folder."""
    made = Parties()
    for name, key in (("log", made.log), *made.witnesses.items()):
        if not (folder / f"{name}.pem").exists():
            key.save(folder / f"{name}.pem")
    keys = {name: SigningKey.load(folder / f"{name}.pem") for name in PARTIES}
    return Parties(keys["log"], {name: keys[name] for name in PARTIES[1:]})


class Circle:
    """Three witnesses that are asked without a network, and whatever is made of what they say."""

    def __init__(self, parties: Parties, witnesses: dict[str, Witness]) -> None:
        self.parties = parties
        self.witnesses = witnesses
        self.asked: list[str] = []
        self.failures: list[tuple[str, Failure]] = []
        self.clock: Callable[[], float] = time.time
        self.away: set[str] = set()
        self.slow: set[str] = set()
        self.bend: Callable[[str, Reply], Reply] = lambda _, reply: reply
        self.ahead_of_us: dict[str, float] = {}

    def now(self) -> float:
        """By the clock of the moment, which a test may change."""
        return self.clock()

    async def ask(self, name: str, body: bytes) -> Reply:
        self.asked.append(name)
        if name in self.away:
            raise WitnessError("it is not there")
        if name in self.slow:
            await asyncio.Event().wait()
        now = int(self.clock() + self.ahead_of_us.get(name, 0))
        made = submission.answer(self.witnesses[name], body, now)
        return self.bend(name, Reply(made.status.value, made.form, made.body))

    def failed(self, witness: str, failure: Failure, detail: str) -> None:
        assert detail
        self.failures.append((witness, failure))

    def sequencer(self, engine: AsyncEngine, refresh: float = 60.0) -> Sequencer:
        log = Log(ORIGIN, self.parties.log, self.parties.policy)
        return Sequencer(log, LedgerSequence(engine, os.urandom), self, self, self.now, refresh=refresh)


@contextmanager
def circle(folder: Path, parties: Parties) -> Iterator[Circle]:
    """Witnesses that keep their state in a folder."""
    with ExitStack() as stack:
        witnesses = {
            name: stack.enter_context(Witness.opened(folder / name, f"{name}.example/witness", key, [parties.log_key]))
            for name, key in parties.witnesses.items()
        }
        yield Circle(parties, witnesses)


async def enter(engine: AsyncEngine, *contents: bytes) -> int:
    """Enters laws."""
    async with engine.begin() as connection:
        return await append(connection, [NewLeaf(Kind.LAW, content, "law/test") for content in contents])


class _Steps:
    """Ends this process at a step."""

    def __init__(self, last: int) -> None:
        self._left = last

    def take(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


@asynccontextmanager
async def _engine(url: str) -> AsyncIterator[AsyncEngine]:
    made = postgres.engine(make_url(url), 3, "test")
    try:
        yield made
    finally:
        await made.dispose()


async def _one(url: str, folder: Path, steps: _Steps) -> None:
    """A turn in which what is before every statement, and before and after every word of a witness, is a step."""
    async with _engine(url) as engine:
        await enter(engine, b"{}")
        execute, ask = AsyncConnection.execute, Circle.ask

        async def executing(self: AsyncConnection, *args: object, **others: object) -> object:
            steps.take()
            return await execute(self, *args, **others)  # type: ignore[call-overload] # whatever it is given

        async def asking(self: Circle, name: str, body: bytes) -> Reply:
            steps.take()
            reply = await ask(self, name, body)
            steps.take()
            return reply

        AsyncConnection.execute = executing  # type: ignore[assignment,method-assign] # of this process alone
        Circle.ask = asking  # type: ignore[method-assign] # of this process alone
        with circle(folder, parties_in(folder)) as made:
            await made.sequencer(engine).round()


def _main(url: str, folder: Path) -> None:
    for last in range(1, STEPS_MAX):
        # Forked, for a fresh interpreter a step would take minutes; nothing but this runs here.
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(_one(url, folder, _Steps(last)))
            except BaseException as error:  # noqa: BLE001 - told, then the child ends without the parent's clean-up
                sys.stderr.write(f"step {last}: {error!r}\n")
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            sys.stdout.write(f"{last - 1}\n")
            return
        if not os.WIFSIGNALED(status):
            sys.exit(1)


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
