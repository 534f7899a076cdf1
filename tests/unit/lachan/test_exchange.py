from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import pytest

from lachan.asking import Manner, Outcome, Server, Transport
from lachan.exchange import Exchange, exchange
from lachan.message import FORMERR, query
from lachan.reply import Reply, address_record, respond, txt_record
from tests.support.framing import framed
from tests.support.nameserver import NameServer, nameserver

ASKED = query("WwW.ExAmple", 1, id=0)
QUICK = Manner(tries=2, timeout=0.15)
GOOD = Reply(answers=(address_record("www.example", 60, "192.0.2.1"),))


def good(asked: bytes) -> Iterator[bytes]:
    yield respond(asked, GOOD)


async def ask(server: NameServer, manner: Manner = QUICK, transport: Transport = Transport.UDP) -> Exchange:
    return await exchange(Server("127.0.0.1", server.port, transport), ASKED, manner)


async def test_an_answer_comes_back_raw_and_read() -> None:
    async with nameserver(good) as server:
        done = await ask(server)
    assert (done.outcome, done.transport, done.tries) == (Outcome.ANSWERED, Transport.UDP, 1)
    assert done.query[2:] == ASKED[2:]
    assert done.response == respond(done.query, GOOD)
    assert done.message is not None
    assert done.message.answers[0].data == "192.0.2.1"
    assert 0 <= done.duration < 1


async def test_ids_and_ports_are_drawn_for_each_try() -> None:
    async with nameserver() as server:
        done = await ask(server, Manner(tries=4, timeout=0.02))
        assert done.outcome is Outcome.TIMEOUT
        assert (done.tries, done.response, done.message) == (4, b"", None)
        assert len({data[:2] for _, data, _ in server.queries}) > 1
        assert len({address for _, _, address in server.queries}) == 4
        assert done.query == server.queries[-1][1]


async def test_randomness_and_time_enter_as_arguments() -> None:
    ticks = iter([10.0, 10.25])
    async with nameserver(good) as server:
        where = Server("127.0.0.1", server.port)
        done = await exchange(where, ASKED, QUICK, rng=random.Random(7), clock=lambda: next(ticks))
    assert done.query[:2] == random.Random(7).getrandbits(16).to_bytes(2, "big")
    assert done.duration == 0.25


async def test_a_later_try_may_answer() -> None:
    async with nameserver() as server:

        def second(asked: bytes) -> Iterator[bytes]:
            if len(server.queries) > 1:
                yield from good(asked)

        server.udp = second
        done = await ask(server)
    assert (done.outcome, done.tries) == (Outcome.ANSWERED, 2)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_nobody_there_is_unreachable_and_does_not_wait(address: str) -> None:
    async with nameserver(address=address) as server:
        port = server.port
    started = asyncio.get_running_loop().time()
    done = await exchange(Server(address, port), ASKED, Manner(tries=1, timeout=5))
    assert done.outcome is Outcome.UNREACHABLE
    assert asyncio.get_running_loop().time() - started < 1
    done = await exchange(Server(address, port, Transport.TCP), ASKED, Manner(tries=2, timeout=5))
    assert (done.outcome, done.tries) == (Outcome.UNREACHABLE, 2)


async def test_a_name_is_not_looked_up() -> None:
    done = await exchange(Server("localhost", 53), ASKED, Manner(tries=1, timeout=5))
    assert done.outcome is Outcome.UNREACHABLE


def wrong_id(asked: bytes) -> bytes:
    return respond(bytes([asked[0] ^ 1]) + asked[1:], GOOD)


def wrong_question(asked: bytes) -> bytes:
    return asked[:2] + respond(query("other.example", 1, id=0), GOOD)[2:]


def wrong_type(asked: bytes) -> bytes:
    return asked[:2] + respond(query("WwW.ExAmple", 28, id=0), GOOD)[2:]


def wrong_case(asked: bytes) -> bytes:
    return asked[:2] + respond(query("www.example", 1, id=0), GOOD)[2:]


def not_a_response(asked: bytes) -> bytes:
    return asked


def no_question(asked: bytes) -> bytes:
    return asked[:2] + bytes.fromhex("8180 0000 0000 0000 0000")


LIES = [wrong_id, wrong_question, wrong_type, wrong_case, not_a_response, no_question, lambda _: b"x", lambda _: b""]


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_is_passed_over_and_the_answer_behind_it_taken(lie: object) -> None:
    assert callable(lie)
    async with nameserver(lambda asked: [lie(asked), lie(asked), *good(asked)]) as server:
        done = await ask(server)
    assert (done.outcome, done.tries) == (Outcome.ANSWERED, 1)


@pytest.mark.parametrize("lie", LIES[:-1])
async def test_nothing_but_lies_is_malformed(lie: object) -> None:
    assert callable(lie)
    async with nameserver(lambda asked: [lie(asked)]) as server:
        done = await ask(server)
    assert (done.outcome, done.tries) == (Outcome.MALFORMED, 2)
    assert done.response == lie(done.query)
    assert done.message is None


async def test_a_flood_of_lies_ends_the_try() -> None:
    async with nameserver(lambda _: [b"garbage"] * 20) as server:
        started = asyncio.get_running_loop().time()
        done = await ask(server, Manner(tries=1, timeout=5, strays=10))
        assert asyncio.get_running_loop().time() - started < 2
    assert done.outcome is Outcome.MALFORMED


async def test_a_packet_from_elsewhere_never_arrives() -> None:
    loop = asyncio.get_running_loop()
    async with nameserver() as server:
        other, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))

        def from_elsewhere(asked: bytes) -> Iterator[bytes]:
            other.sendto(respond(asked, GOOD), server.queries[-1][2])
            yield from ()

        server.udp = from_elsewhere
        done = await ask(server)
        other.close()
    assert done.outcome is Outcome.TIMEOUT


async def test_a_response_that_matches_but_is_broken_is_malformed() -> None:
    async with nameserver(lambda asked: [respond(asked, GOOD)[:-3]]) as server:
        done = await ask(server)
    assert (done.outcome, done.tries) == (Outcome.MALFORMED, 2)
    assert done.response


async def test_an_error_without_question_is_an_answer() -> None:
    bare = bytes.fromhex("8181 0000 0000 0000 0000")
    async with nameserver(lambda asked: [asked[:2] + bare]) as server:
        done = await ask(server)
    assert done.outcome is Outcome.ANSWERED
    assert done.message is not None
    assert done.message.rcode == FORMERR


async def test_case_may_be_let_go() -> None:
    async with nameserver(lambda asked: [wrong_case(asked)]) as server:
        done = await ask(server, Manner(tries=1, timeout=1, keep_case=False))
    assert done.outcome is Outcome.ANSWERED


LONG = Reply(answers=tuple(txt_record("www.example", 60, b"x" * 250) for _ in range(20)))


async def test_truncation_is_followed_to_tcp() -> None:
    async with nameserver(
        lambda asked: [respond(asked, LONG, limit=512)], lambda asked: [framed(respond(asked, LONG))]
    ) as server:
        done = await ask(server)
        assert [transport for transport, _, _ in server.queries] == ["udp", "tcp"]
    assert (done.outcome, done.transport, done.tries) == (Outcome.ANSWERED, Transport.TCP, 1)
    assert done.message is not None
    assert len(done.message.answers) == 20


async def test_truncation_is_an_answer_where_it_is_not_followed() -> None:
    async with nameserver(lambda asked: [respond(asked, LONG, limit=512)]) as server:
        done = await ask(server, Manner(tries=1, timeout=1, follow_truncation=False))
    assert (done.outcome, done.transport) == (Outcome.ANSWERED, Transport.UDP)
    assert done.message is not None
    assert done.message.tc


async def test_tcp_answers_in_pieces() -> None:
    def pieces(asked: bytes) -> Iterator[bytes]:
        whole = framed(respond(asked, LONG))
        yield from (whole[place : place + 100] for place in range(0, len(whole), 100))

    async with nameserver(tcp=pieces) as server:
        done = await ask(server, transport=Transport.TCP)
    assert (done.outcome, done.transport) == (Outcome.ANSWERED, Transport.TCP)


@pytest.mark.parametrize(
    ("tcp", "outcome"),
    [
        (lambda _: [], Outcome.UNREACHABLE),
        (lambda _: [b"\xff\xffshort"], Outcome.MALFORMED),
        (lambda asked: [framed(wrong_id(asked))], Outcome.MALFORMED),
        (lambda _: [b"\0\0"], Outcome.MALFORMED),
    ],
)
async def test_tcp_that_gives_no_answer(tcp: object, outcome: Outcome) -> None:
    assert callable(tcp)
    async with nameserver(tcp=tcp) as server:
        done = await ask(server, transport=Transport.TCP)
    assert done.outcome is outcome


async def test_tcp_has_a_deadline() -> None:
    silence = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silence.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    done = await exchange(Server("127.0.0.1", port, Transport.TCP), ASKED, Manner(tries=1, timeout=0.1))
    assert done.outcome is Outcome.TIMEOUT
    silence.set()
    server.close()
    await server.wait_closed()
