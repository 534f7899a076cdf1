"""What processes are told when they are exec'd, as JSON in an inherited descriptor; above all, workers."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import Any, Self


class Handed:
    """What a process is told when it is exec'd: a dataclass of what JSON can say."""

    def to_fd(self) -> int:
        """An anonymous file that holds it; the descriptor, which the caller owns."""
        fd = os.memfd_create("brief")
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(json.dumps(self.__dict__).encode())
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    @classmethod
    def from_fd(cls, fd: int) -> Self:
        """Reads and closes the descriptor."""
        with os.fdopen(fd, "rb") as file:
            return cls(**json.load(file))


@dataclass(frozen=True)
class Brief(Handed):
    """All that a worker must know.

    Attributes:
        worker: The number of the worker whose sockets it reads.
        seat: Its place in shared memory, which no other living process has.
        settings: The configuration, an `EdgeFile` as JSON.
        sockets: Those of all workers, as `ListenSocket.describe` has them.
        shared_fd: The memory that all workers share, laid out as `Edge` says.
        cache_secret, name_key: Keys of the cache and of the names in it, made with that memory.
        rules: As `Rules.describe` has them.
        rules_fd: The snapshot, where there is one.
    """

    worker: int
    seat: int
    settings: str
    sockets: list[dict[str, Any]]
    shared_fd: int
    cache_secret: int
    name_key: str
    rules: dict[str, Any]
    rules_fd: int | None


def digest(settings: str) -> str:
    """How workers and supervisor tell whether they mean the same settings, however long these are."""
    return hashlib.sha256(settings.encode()).hexdigest()


def spawn_arguments(brief_fd: int) -> list[str]:
    """Arguments behind the interpreter that start a worker."""
    return ["-m", "resolver.launch", "--brief", str(brief_fd)]
