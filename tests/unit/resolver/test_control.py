"""Commands between processes: answers, errors, descriptors, and callers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from resolver import control
from resolver.control import MESSAGE_MAX, ControlError, Message, Server, call
from resolver.errors import ResolverError


def refuse(_: Message, __: list[int]) -> tuple[Message, Sequence[int]]:
    raise ResolverError("not today")


def fail(message: Message, _: list[int]) -> tuple[Message, Sequence[int]]:
    return {"value": message["missing"]}, ()


def echo(message: Message, _: list[int]) -> tuple[Message, Sequence[int]]:
    return {"heard": message.get("text")}, ()


def size(_: Message, fds: list[int]) -> tuple[Message, Sequence[int]]:
    taken = fds.pop(0)
    with os.fdopen(taken, "rb") as file:
        return {"data": file.read().decode()}, ()


def give(_: Message, __: list[int]) -> tuple[Message, Sequence[int]]:
    return {}, (GIVEN,)


GIVEN = os.memfd_create("given")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@pytest.fixture
async def server(path: Path) -> Server:
    return Server(path, {"refuse": refuse, "fail": fail, "echo": echo, "size": size, "give": give})


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def ask(path: Path, message: object, fds: Sequence[int] = ()) -> tuple[Message, list[int]]:
    return await asyncio.to_thread(call, path, message, fds, 5.0)  # type: ignore[arg-type] # whatever JSON can say


async def test_a_command_is_answered_by_its_handler(path: Path, server: Server) -> None:
    assert await ask(path, {"command": "echo", "text": "Lá Chắn"}) == ({"heard": "Lá Chắn"}, [])
    long = "a" * (MESSAGE_MAX - 200)
    assert (await ask(path, {"command": "echo", "text": long}))[0] == {"heard": long}
    server.close()


async def test_many_callers_are_answered_each(path: Path, server: Server) -> None:
    answers = await asyncio.gather(*(ask(path, {"command": "echo", "text": number}) for number in range(12)))
    assert [message["heard"] for message, _ in answers] == list(range(12))
    server.close()


@pytest.mark.parametrize(
    ("message", "match"),
    [
        ({"command": "refuse"}, "not today"),
        ({"command": "fail"}, "missing"),
        ({"command": "unheard of"}, "no command 'unheard of'"),
        ({"command": None}, "no command None"),
        ({"command": ["echo"]}, "command"),
        ({"command": {}}, "command"),
        ({}, "no command None"),
        ([], "not a mapping"),
        (5, "not a mapping"),
        (None, "not a mapping"),
    ],
)
async def test_what_is_no_command_is_an_error(path: Path, server: Server, message: object, match: str) -> None:
    with pytest.raises(ControlError, match=match):
        await ask(path, message)
    assert (await ask(path, {"command": "echo"}))[0] == {"heard": None}
    server.close()


def say(path: Path, data: bytes, fds: Sequence[int] = ()) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(5)
        sock.connect(str(path))
        socket.send_fds(sock, [data], list(fds))
        return sock.recv(MESSAGE_MAX)


@pytest.mark.parametrize("data", [b"{", b"\xff\xfe", b"[" * 100_000, b'{"command": "echo"', b"\0"])
async def test_what_is_no_json_is_an_error(path: Path, server: Server, data: bytes) -> None:
    answer = json.loads(await asyncio.to_thread(say, path, data))
    assert list(answer) == ["error"]
    assert (await ask(path, {"command": "echo"}))[0] == {"heard": None}
    server.close()


async def test_descriptors_go_both_ways(path: Path, server: Server) -> None:
    with os.fdopen(os.memfd_create("sent"), "w+b") as file:
        file.write(b"rules")
        file.flush()
        file.seek(0)
        assert await ask(path, {"command": "size"}, [file.fileno()]) == ({"data": "rules"}, [])
        answer, received = await ask(path, {"command": "give"})
        assert answer == {}
        [fd] = received
        assert os.fstat(fd).st_ino == os.fstat(GIVEN).st_ino
        os.close(fd)
    server.close()


@pytest.mark.parametrize("command", ["echo", "refuse", "fail", "unheard of", "size"])
async def test_descriptors_that_nobody_takes_are_closed(path: Path, server: Server, command: str) -> None:
    empty = os.memfd_create("empty")
    before = descriptors()
    for _ in range(5):
        # `size` takes the first alone.
        with contextlib.suppress(ControlError):
            await ask(path, {"command": command}, [empty, empty, empty])
    assert descriptors() == before
    os.close(empty)
    server.close()


async def test_a_caller_that_says_nothing_is_let_go(
    path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "CALL_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, str(path))
        async with asyncio.timeout(5):
            assert await asyncio.get_running_loop().sock_recv(sock, 10) == b""
    assert (await ask(path, {"command": "echo"}))[0] == {"heard": None}
    server.close()


async def test_a_caller_that_leaves_costs_nothing(path: Path, server: Server) -> None:
    for data in (b"", b'{"command": "echo"}'):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.connect(str(path))
            if data:
                sock.send(data)
    assert (await ask(path, {"command": "echo"}))[0] == {"heard": None}
    server.close()


# Calling --------------------------------------------------------------------------------------------------------------


def test_nobody_there_is_an_error(path: Path) -> None:
    with pytest.raises(ControlError, match=r"control\.sock: No such file"):
        call(path, {"command": "echo"})
    path.touch()
    with pytest.raises(ControlError, match=r"control\.sock: Connection refused"):
        call(path, {"command": "echo"})


@pytest.mark.parametrize(
    ("answer", "match"),
    [(None, "no answer in time"), (b"", "closed without"), (b"{", "the answer is none"), (b"[]", "not a mapping")],
)
def test_an_answer_that_is_none_is_an_error(path: Path, answer: bytes | None, match: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(path))
        listening.listen(1)
        with pytest.raises(ControlError, match=match), Answering(listening, answer):
            call(path, {"command": "echo"}, timeout=0.1)


class Answering:
    """Answers the one caller from a thread."""

    def __init__(self, listening: socket.socket, answer: bytes | None) -> None:
        self._listening, self._answer = listening, answer
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        sock, _ = self._listening.accept()
        with sock:
            sock.recv(100)
            if self._answer:
                sock.send(self._answer)
            if self._answer is None:
                self._done.wait(5)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


async def test_a_path_that_cannot_be_listened_at_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="No such file"):
        Server(tmp_path / "none" / "control.sock", {})
    with pytest.raises(ControlError, match="too long"):
        Server(tmp_path / ("x" * 120), {})


async def test_a_socket_left_behind_is_taken_over_and_removed(path: Path, server: Server) -> None:
    other = Server(path, {"echo": echo})
    assert (await ask(path, {"command": "echo"}))[0] == {"heard": None}
    other.close()
    server.close()
    with pytest.raises(ControlError, match="No such file"):
        await ask(path, {"command": "echo"})
