"""The process that serves the edge's web pages, so that nobody's browser can hold up anybody's query.

Holds always: it gives way to whoever answers queries; it outlives its supervisor, until the next one takes its sockets
over; what it tells of its work is numbers.
"""

from __future__ import annotations

import argparse
import asyncio
import mmap
import os
import signal
import socket
from dataclasses import replace

import uvloop

from blocklist_sync.artifact import policy as bundles
from blocklist_sync.artifact._snapshot import Snapshot
from lachan import log
from resolver.control import Handler, Message, Server
from resolver.edgefile import EdgeFile
from resolver.overrides import of_document
from resolver.pages.brief import Brief, control_path
from resolver.pages.facts import Facts, own_rules
from resolver.pages.listener import PageServer
from resolver.settings import Edge, normalise

NICENESS = 10
SWEEP_SECONDS = 0.5
CLOSE_SECONDS = 1.0


def read_facts(edge: Edge, rules: Message, fd: int | None) -> Facts:
    """The rules as the supervisor tells them; closes the descriptor."""
    snapshot = None
    if fd is not None:
        with os.fdopen(fd, "rb") as file:
            snapshot = Snapshot(mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ))
    return Facts(
        edge,
        bundles.parse(rules["bundle"].encode()),
        snapshot,
        snapshot.orders if snapshot is not None else (),
        serial=rules["serial"],
        published_at=rules["published_at"],
        checked_at=rules["checked_at"],
        own=own_rules(edge.file.own),
        overrides=tuple(map(of_document, rules["overrides"])),
    )


class Pages:
    """The parts of the process."""

    def __init__(self, brief: Brief) -> None:
        self._brief = brief
        self._loop = asyncio.get_running_loop()
        self._edge = normalise(EdgeFile.model_validate_json(brief.settings))
        settings = self._edge.file.pages
        assert settings is not None  # noqa: S101 # it is not started without
        self._settings = settings
        self._server = PageServer(settings, read_facts(self._edge, brief.rules, brief.rules_fd))
        self._stopping = asyncio.Event()
        handlers: dict[str, Handler] = {
            "status": self._status,
            "rules": self._take_rules,
            "handover": self._handover,
            "stop": self._stop,
        }
        self._control = Server(control_path(self._edge.file.runtime_dir), handlers)

    def _status(self, message: Message, _: list[int]) -> tuple[Message, list[int]]:
        server = self._server
        if "checked_at" in message:
            server.facts = replace(server.facts, checked_at=message["checked_at"])
        shown = [[page, category, count] for (page, category), count in server.router.shown.items()]
        return {
            "pid": os.getpid(),
            "serial": server.facts.serial,
            "connections": len(server.connections),
            "shown": shown,
            "refused": dict(server.refused),
        }, []

    def _take_rules(self, message: Message, fds: list[int]) -> tuple[Message, list[int]]:
        fd = fds.pop(0) if fds else None
        self._server.facts = read_facts(self._edge, message["rules"], fd)
        return {}, []

    def _handover(self, _: Message, __: list[int]) -> tuple[Message, list[int]]:
        places = [[sock["address"], sock["port"]] for sock in self._brief.sockets]
        return {"places": places}, [sock["fd"] for sock in self._brief.sockets]

    def _stop(self, _: Message, __: list[int]) -> tuple[Message, list[int]]:
        self._stopping.set()
        return {}, []

    async def run(self) -> None:
        """Serves until told to stop."""
        listens = {(listen.address, listen.port): listen for listen in self._settings.listen}
        servers = []
        for sock in self._brief.sockets:
            # asyncio closes what it is given; the descriptor itself stays for a handover.
            listening = socket.socket(fileno=os.dup(sock["fd"]))
            factory = self._server.factory(listens[sock["address"], sock["port"]])
            servers.append(await self._loop.create_server(factory, sock=listening))
        log.get().info("serving", addresses=len(servers))
        self._loop.add_signal_handler(signal.SIGTERM, self._stopping.set)
        sweeping = asyncio.create_task(self._sweep())
        await self._stopping.wait()
        for server in servers:
            server.close()
        deadline = self._loop.time() + CLOSE_SECONDS
        while self._server.connections and self._loop.time() < deadline:  # noqa: ASYNC110 # connections have no events
            await asyncio.sleep(SWEEP_SECONDS / 10)
        sweeping.cancel()
        self._control.close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._server.sweep(self._loop.time())


async def _main(brief: Brief) -> None:
    await Pages(brief).run()


def main() -> None:
    """`python -m resolver.pages.server --brief FD`: exec'd by the supervisor, never by hand."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--brief", type=int, required=True, metavar="FD")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Queries come first.
    os.nice(NICENESS)
    log.configure("pages")
    uvloop.run(_main(Brief.from_fd(arguments.brief)))


if __name__ == "__main__":
    main()
