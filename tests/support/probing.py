"""A real probe process in a folder of its own, resolvers' answers, and work for it."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import yaml

from lachan.compliance.v1 import probe_service_pb2 as pb
from lachan.compliance.v1 import report_pb2
from lachan.message import NXDOMAIN, Message, Question, Record, encode, parse
from lachan.signing import SigningKey
from tests.support.probe_service import issue

DEADLINE = 240
A = 1


def reply(query: bytes, *, blocked: Callable[[str], bool]) -> Iterable[bytes]:
    asked = parse(query)
    question = asked.question
    assert question is not None
    answers: tuple[Record, ...] = ()
    if not blocked(question.qname):
        answers = (Record(question.qname, A, 1, 60, bytes([203, 0, 113, 9]), "203.0.113.9"),)
    yield encode(
        Message(
            id=asked.id,
            is_response=True,
            opcode=0,
            rcode=0 if answers else NXDOMAIN,
            rd=True,
            ra=True,
            questions=(Question(question.qname, question.qtype),),
            answers=answers,
        )
    )


def framed(packets: Iterable[bytes]) -> Iterable[bytes]:
    """As TCP carries them."""
    return [len(packet).to_bytes(2, "big") + packet for packet in packets]


def assignment(number: int, resolver: int, reference: int, count: int, spread: int) -> pb.Assignment:
    """Half listed names, half controls; every assignment asks the same names."""
    return pb.Assignment(
        assignment_id=bytes([number]) * 16,
        organisation="operator-a",
        resolver=pb.Endpoint(address="127.0.0.1", port=resolver, transport=report_pb2.TRANSPORT_UDP),
        reference=pb.Endpoint(address="127.0.0.1", port=reference, transport=report_pb2.TRANSPORT_TCP),
        questions=[
            pb.Question(
                index=index,
                qname=f"{'listed' if index < count // 2 else 'control'}-{index}.example",
                qtype=A,
                arm=pb.ARM_LISTED if index < count // 2 else pb.ARM_CONTROL,
            )
            for index in range(count)
        ],
        spread_seconds=spread,
        expires_at=int(time.time()) + 600,
    )


class Place:
    """A probe's folder, and the processes run from it."""

    def __init__(self, folder: Path, ca: Path) -> None:
        self.folder = folder
        issue(ca, folder / "tls", "lachan://authority/probe/p-1")
        self.key = SigningKey.generate()
        self.key.save(folder / "signing.pem")

    def configure(self, port: int) -> Path:
        path = self.folder / "probe.yaml"
        path.write_text(
            yaml.safe_dump(
                {
                    "service": f"127.0.0.1:{port}",
                    "tls": {"ca": "tls/ca.pem", "certificate": "tls/certificate.pem", "key": "tls/key.pem"},
                    "line": "consumer",
                    "signing_key": "signing.pem",
                    "spool": "state/spool.sqlite",
                    "journal": "state/journal.sqlite",
                    "measure": {"timeout": "1s", "same_name_gap": "20ms"},
                    "uplink": {
                        "poll": "100ms",
                        "submit_every": "100ms",
                        "deadline": "2s",
                        "backoff_first": "50ms",
                        "backoff_most": "200ms",
                        "batch": 16,
                    },
                }
            )
        )
        return path

    def log_text(self) -> str:
        """What it has logged, all its processes together."""
        log = self.folder / "log"
        return log.read_text() if log.exists() else ""

    @contextlib.asynccontextmanager
    async def running(
        self, port: int, how_it_ends: signal.Signals, file_bytes: int | None = None
    ) -> AsyncIterator[None]:
        """Runs it; where `file_bytes` is given, its files grow no further, as on a disk that is full."""
        log = self.folder / "log"

        def limit() -> None:
            if file_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, resource.RLIM_INFINITY))

        with log.open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                "from compliance_api.probe.cli import main; main()",
                "run",
                "--config",
                str(self.configure(port)),
                stdout=out,
                stderr=out,
                preexec_fn=limit,
            )
            try:
                yield
                assert process.returncode is None, log.read_text()
            finally:
                if process.returncode is None:
                    process.send_signal(how_it_ends)
                code = await process.wait()
            assert code == (0 if how_it_ends is signal.SIGTERM else -how_it_ends), log.read_text()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.02)
