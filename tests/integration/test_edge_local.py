"""What a real edge answers itself that needs more than its packet path: the node's signature over who it is."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from lachan.message import NOERROR, REFUSED, SERVFAIL
from lachan.signing import SigningKey
from lachan.whoami import Whoami
from tests.support.blocklist import built
from tests.support.edge import running

NAME = "dns.operator.example"


def strings(rdata: bytes) -> list[bytes]:
    """Of a TXT record's data."""
    found = []
    while rdata:
        found.append(rdata[1 : 1 + rdata[0]])
        rdata = rdata[1 + rdata[0] :]
    return found


async def test_a_node_says_who_it_is_and_signs_it(tmp_path: Path) -> None:
    (tmp_path / "rules.snapshot").write_bytes(built(serial=1))
    local = {"name": NAME, "addresses": ["192.0.2.53"]}
    async with running(tmp_path, [9], workers=2, blocklist={"snapshot": "rules.snapshot"}, local=local) as edge:
        key = SigningKey.load(tmp_path / "state" / "node.key").public
        for tcp in (False, True):
            nonce = f"4f9a1c2e7b{int(tcp)}"
            answer = await edge.ask(f"{nonce}.whoami.{NAME}", "TXT", tcp=tcp)
            [record] = answer.answers
            told = Whoami.parse(nonce, strings(record.rdata))
            told.verify(key)
            assert (told.node, record.ttl, answer.rcode) == ("a/edge-1", 0, NOERROR)
        # Signatures are dear: beyond so many a second there are no more, but everybody is told something.
        nonces = [f"nonce{number:05}.whoami.{NAME}" for number in range(60)]
        begun = time.monotonic()
        hasty = await asyncio.gather(*(edge.ask(nonce, "TXT", tries=3) for nonce in nonces))
        seconds = int(time.monotonic() - begun) + 2
        assert {answer.rcode for answer in hasty} <= {NOERROR, REFUSED}
        assert sum(answer.rcode == NOERROR for answer in hasty) <= 20 * seconds
        # The key is the supervisor's alone: without it nobody signs, and all else is answered as before.
        edge.kill()
        answer = await edge.ask(f"afterwards.whoami.{NAME}", "TXT")
        assert (answer.rcode, answer.answers) == (SERVFAIL, ())
        assert (await edge.ask(f"health.{NAME}", "TXT")).rcode == NOERROR
