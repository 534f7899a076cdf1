"""The supervisor's hold on the process that serves the pages: starts it, tells it what is in force, replaces it.

Holds always: pages that fail never end an edge; an address is never bound beside a process that still holds it; a
process that dies at once again is started at growing intervals.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import sys

from lachan import log
from resolver.control import ControlError, Message, call
from resolver.listeners.sockets import SocketError
from resolver.pages.brief import Brief, control_path
from resolver.pages.counts import PageCounts
from resolver.pages.settings import PageListen
from resolver.rules import Rules
from resolver.settings import Edge

BACKLOG = 128
BACK_OFF_FIRST = 0.2
BACK_OFF_MOST = 30.0
STEADY_SECONDS = 10.0
STOP_SECONDS = 5.0


def _open(listen: PageListen) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((listen.address, listen.port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise SocketError(f"pages: {listen.address} port {listen.port}: {error.strerror}") from error
    return sock


class PageKeeper:
    """The process that serves this edge's pages, where it has any."""

    def __init__(self, edge: Edge) -> None:
        self._settings = edge.file.pages
        self._document = edge.file.model_dump_json()
        self._path = control_path(edge.file.runtime_dir)
        self._sockets: dict[tuple[str, int], socket.socket] = {}
        self._rules = Rules(epoch=0)
        self._checked_at = 0
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._shown: dict[tuple[str, str], int] = {}
        self._refused: dict[str, int] = {}

    @property
    def counts(self) -> PageCounts | None:
        """What was last heard of the process; None where there are to be no pages."""
        if self._settings is None:
            return None
        return PageCounts(self._process is not None, self._shown, self._refused)

    def open(self) -> None:
        """Opens the addresses, taking over those that a process of an earlier supervisor holds.

        Raises:
            SocketError: An address cannot be listened on.
        """
        self._take_over()
        wanted = {(one.address, one.port): one for one in self._settings.listen} if self._settings is not None else {}
        for place in self._sockets.keys() - wanted.keys():
            self._sockets.pop(place).close()
        for place, listen in wanted.items():
            if place not in self._sockets:
                self._sockets[place] = _open(listen)

    def start(self, rules: Rules) -> None:
        """Starts serving."""
        self._rules = rules
        if self._sockets:
            self._keeping = asyncio.create_task(self._keep())

    def _take_over(self) -> None:
        """Takes the sockets of a process that outlived its supervisor, and waits for its end."""
        try:
            status, _ = call(self._path, {"command": "status"})
            answer, fds = call(self._path, {"command": "handover"})
            for (address, port), fd in zip(answer["places"], fds, strict=True):
                self._sockets[address, port] = socket.socket(fileno=fd)
            pidfd = os.pidfd_open(status["pid"])
        except (ControlError, ProcessLookupError):
            self._path.unlink(missing_ok=True)
            return
        try:
            with contextlib.suppress(ControlError):
                call(self._path, {"command": "stop"})
            _end(pidfd)
        finally:
            os.close(pidfd)

    def _told(self) -> Message:
        return self._rules.describe() | {"published_at": self._rules.published_at, "checked_at": self._checked_at}

    async def _spawn(self) -> asyncio.subprocess.Process:
        rules_fd = None if self._rules.fd is None else os.dup(self._rules.fd)
        sockets = [
            {"fd": sock.fileno(), "address": address, "port": port} for (address, port), sock in self._sockets.items()
        ]
        brief_fd = Brief(self._document, sockets, self._told(), rules_fd).to_fd()
        inherited = [brief_fd, *(sock.fileno() for sock in self._sockets.values())]
        if rules_fd is not None:
            inherited.append(rules_fd)
        try:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "resolver.pages.server", "--brief", str(brief_fd)),
                pass_fds=inherited,
                stdin=asyncio.subprocess.DEVNULL,
                # Out of the terminal's reach, as workers are.
                start_new_session=True,
            )
        finally:
            os.close(brief_fd)
            if rules_fd is not None:
                os.close(rules_fd)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        back_off = 0.0
        while True:
            started, rules = loop.time(), self._rules
            try:
                self._process = await self._spawn()
            except OSError as error:
                log.get().error("the pages do not start", reason=error.strerror)
            else:
                if self._rules is not rules:
                    # They moved on while it was exec'd.
                    self._process.kill()
                status = await self._process.wait()
                self._process = None
                # Who was told to end, to serve under other settings, says so by its status.
                say = log.get().error if status else log.get().info
                say("the process of the pages ended; starting another", status=status)
            steady = loop.time() - started > STEADY_SECONDS
            back_off = BACK_OFF_FIRST if steady else min(max(2 * back_off, BACK_OFF_FIRST), BACK_OFF_MOST)
            await asyncio.sleep(back_off)

    async def announce(self, rules: Rules) -> None:
        """Puts rules in force on the pages; a process that cannot be told is replaced by one that starts with them."""
        self._rules = rules
        if self._process is None:
            return
        message = {"command": "rules", "rules": self._told()}
        fds = [] if rules.fd is None else [rules.fd]
        try:
            await asyncio.to_thread(call, self._path, message, fds)
        except ControlError as error:
            log.get().warning("the pages did not take the rules; ending them", reason=str(error))
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def renew(self, edge: Edge) -> None:
        """Serves under other settings, of the same addresses: what is asked meanwhile waits in the sockets."""
        self._settings = edge.file.pages
        self._document = edge.file.model_dump_json()
        if self._process is not None:
            self._process.terminate()

    async def look(self, checked_at: int) -> None:
        """Tells when a newer list was last asked for, and hears what was shown."""
        self._checked_at = checked_at
        if self._process is None:
            return
        with contextlib.suppress(ControlError):
            status, _ = await asyncio.to_thread(call, self._path, {"command": "status", "checked_at": checked_at})
            self._shown = {(page, category): count for page, category, count in status["shown"]}
            self._refused = status["refused"]

    async def stop(self) -> None:
        """Ends the process."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        with contextlib.suppress(ControlError):
            await asyncio.to_thread(call, self._path, {"command": "stop"})
        if self._process is not None:
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        for sock in self._sockets.values():
            sock.close()


def _end(pidfd: int) -> None:
    """Waits for a process to end, and ends it if it will not."""
    ready, _, _ = select.select([pidfd], [], [], STOP_SECONDS)
    if not ready:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        select.select([pidfd], [], [], STOP_SECONDS)
