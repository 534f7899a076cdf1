"""What processes are told when they are exec'd, as JSON in an inherited descriptor; above all, workers.

Holds always: a worker that has not been told its rules has none, and one whose supervisor ends before it told them
finds that out.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from dataclasses import dataclass
from typing import Any, Self

from resolver.errors import ResolverError


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
        rules_from: The socket by which `tell_rules` brings the rules: a worker loads while they are read and verified.
    """

    worker: int
    seat: int
    settings: str
    sockets: list[dict[str, Any]]
    shared_fd: int
    cache_secret: int
    name_key: str
    rules_from: int


class UntoldError(ResolverError):
    """Whoever would have told the rules has gone."""


@dataclass(frozen=True)
class _Rules(Handed):
    rules: dict[str, Any]


def tell_rules(sock: socket.socket, rules: dict[str, Any], snapshot: int | None) -> None:
    """Tells a worker its rules.

    Args:
        sock: The other end of its `rules_from`.
        rules: As `Rules.describe` has them.
        snapshot: The list's descriptor, where there is one; it stays the caller's.

    Raises:
        UntoldError: It has ended.
    """
    told = _Rules(rules).to_fd()
    try:
        socket.send_fds(sock, [b"\0"], [told, *(() if snapshot is None else (snapshot,))])
    except OSError as error:
        raise UntoldError(f"a worker ended before it was told its rules: {error.strerror}") from error
    finally:
        os.close(told)


def hear_rules(fd: int) -> tuple[dict[str, Any], int | None]:
    """Waits for what `tell_rules` tells, and closes `fd`; the descriptor of the list, if any, is the caller's.

    Raises:
        UntoldError: It will not be told.
    """
    with socket.socket(fileno=fd) as sock:
        _, fds, _, _ = socket.recv_fds(sock, 1, 2)
    if not fds:
        raise UntoldError("the supervisor ended before it told the rules")
    told, *snapshot = fds
    return _Rules.from_fd(told).rules, snapshot[0] if snapshot else None


def digest(settings: str) -> str:
    """How workers and supervisor tell whether they mean the same settings, however long these are."""
    return hashlib.sha256(settings.encode()).hexdigest()


def spawn_arguments(brief_fd: int) -> list[str]:
    """Arguments behind the interpreter that start a worker."""
    return ["-m", "resolver.worker", "--brief", str(brief_fd)]
