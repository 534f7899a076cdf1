"""Shares the simulation among the machine's cores.

Holds always: a piece of work draws from a generator of its own, named by the seed and what the piece is; so what comes
of it depends on neither the number of processes nor on which other pieces there are.
"""

from __future__ import annotations

import multiprocessing
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import numpy as np

R = TypeVar("R")
P = ParamSpec("P")


def generator(seed: int, name: str) -> np.random.Generator:
    """The generator of a piece of work."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _piece(function: Callable[..., Any], seed: int, name: str, *rest: Any) -> Any:
    return function(generator(seed, name), *rest)


class Cores:
    """Processes that take pieces of work in the order in which they are given."""

    def __init__(self, seed: int, processes: int | None = None) -> None:
        self._seed = seed
        self._pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"))

    def __enter__(self) -> Self:
        """Nothing is to be done."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Begins nothing more, and waits for what was begun."""
        self._pool.shutdown(cancel_futures=True)

    def draw(self, name: str, function: Callable[Concatenate[np.random.Generator, P], R], *rest: P.args) -> Future[R]:
        """What becomes of a function with a generator of its own, some time."""
        return self._pool.submit(_piece, function, self._seed, name, *rest)

    def call(self, function: Callable[P, R], *rest: P.args) -> Future[R]:
        """The same of one that draws by itself."""
        return self._pool.submit(function, *rest)
