"""Which upstream is asked: by order, chance or speed; what takes one out, and what brings it back."""

from __future__ import annotations

import itertools

import dns.rcode
import pytest

from resolver._hot.routes import Routes
from resolver._hot.upstreams import STRATEGIES, Upstreams
from resolver.upstream.settings import Strategy
from tests.support.engine import UDP, Rig, rig
from tests.support.packets import question, read, records, reply

NAME = "www.ok.example"
LINE = f"{NAME}. 300 IN A 192.0.2.1"


def names(count: int, prefix: str = "n") -> list[str]:
    return [f"{prefix}{number}.ok.example" for number in range(count)]


def asked(own: Rig, count: int, prefix: str = "n") -> list[int]:
    """How many of so many questions went to each upstream."""
    for name in names(count, prefix):
        assert own.ask(question(name)) is None
    return [len(upstream.waiting()) for upstream in own.upstreams]


def settle(own: Rig, name: str, upstream: int, *, turns: float = 0) -> None:
    """Answers a question as this upstream, after a while."""
    packet, source = own.upstreams[upstream].receive()
    if turns:
        own.turn(turns)
    own.upstreams[upstream].send(reply(packet, f"{name}. 300 IN A 192.0.2.1"), source)
    own.wait(own.token)


def test_every_strategy_of_the_settings_is_known() -> None:
    assert set(STRATEGIES) == set(Strategy.__args__)
    with pytest.raises(KeyError):
        Upstreams().use_strategy(0, "loudest")
    with pytest.raises(ValueError, match="16 groups"):
        Upstreams().use_strategy(16, "strict")
    with pytest.raises(ValueError, match="16 groups"):
        Upstreams().add_upstream([], 16)


def test_strict_asks_the_first() -> None:
    assert asked(rig(upstreams=3), 20) == [20, 0, 0]


def test_random_asks_all_alike() -> None:
    # Each has 100 of 300: below 60 in one of 10^6 runs.
    assert min(asked(rig(upstreams=3, strategy="random"), 300)) > 60


def test_the_fastest_is_asked_and_the_others_now_and_then() -> None:
    own = rig(upstreams=3, strategy="fastest")
    # Whose time is not known is asked first; by chance one may be asked again before another.
    for name in names(100, "first"):
        assert own.ask(question(name)) is None
        [place] = [number for number, server in enumerate(own.upstreams) if server.waiting_now()]
        settle(own, name, place, turns=0 if place == 1 else 0.2)
        if all(one["rtt"] for one in own.forwarder.health()):
            break
    health = own.forwarder.health()
    assert health[1]["rtt"] < min(health[0]["rtt"], health[2]["rtt"])
    found = asked(own, 640)
    # One in 32 goes to any of the three by chance: 13 to those that are slower.
    assert found[1] > 560
    assert 0 < found[0] + found[2] < 60


def test_time_is_smoothed_and_silence_counts_as_time() -> None:
    own = rig(upstreams=2, timeout_ms=100)
    assert own.ask(question(NAME)) is None
    packet, source = own.upstreams[1].receive_while(own.turn)
    own.upstreams[1].send(reply(packet, LINE), source)
    own.wait(own.token)
    first, second = own.forwarder.health()
    assert first["rtt"] >= 0.1
    assert (first["asked"], first["answered"], first["failed"]) == (1, 0, 1)
    assert (second["asked"], second["answered"], second["failed"], second["failures"]) == (1, 1, 0, 0)


# Two at once ----------------------------------------------------------------------------------------------------------


def test_the_best_two_are_asked_at_once_and_the_first_good_answer_counts() -> None:
    own = rig(upstreams=3, strategy="parallel_best")
    assert own.ask(question(NAME)) is None
    token = own.token
    places = [number for number, server in enumerate(own.upstreams) if server.waiting_now()]
    assert len(places) == 2
    packets = [own.upstreams[place].receive() for place in places]
    assert len({packet[:2] for packet, _ in packets}) + len({source for _, source in packets}) > 2
    for place, (packet, source), last in zip(places, packets, (1, 66), strict=True):
        own.upstreams[place].send(reply(packet, LINE.replace(".1", f".{last}")), source)
        own.until(lambda: token in own.told)
    assert records(read(own.told.pop(token))) == [LINE]
    own.turn()
    assert own.told == {}
    assert records(read(own.ask(question(NAME)))) == [LINE]
    own.until(lambda: own.forwarder.outstanding == 0)
    assert [one["outstanding"] for one in own.forwarder.health()] == [0, 0, 0]


def test_the_slower_of_two_is_not_taken_for_silent_and_a_silent_one_is_found_out() -> None:
    own = rig(upstreams=2, strategy="parallel_best", timeout_ms=500)
    slow = False
    for number in itertools.count():
        name = f"n{number}.ok.example"
        assert own.ask(question(name)) is None
        packet, source = own.upstreams[0].receive_while(own.turn)
        own.upstreams[0].send(reply(packet, f"{name}. 300 IN A 192.0.2.1"), source)
        own.wait(own.token)
        if number < 200:
            # It answers, though too late to be told.
            for late, place in own.upstreams[1].waiting():
                own.upstreams[1].send(reply(late, rcode="NXDOMAIN"), place)
            own.turn()
            slow |= own.forwarder.health()[1]["answered"] > 0
            assert not own.forwarder.health()[1]["down"]
        if own.forwarder.health()[1]["down"]:
            break
        assert number < 20_000
    assert slow
    own.until(lambda: own.forwarder.outstanding == 0)
    assert own.told == {}
    assert [one["outstanding"] for one in own.forwarder.health()] == [0, 0]


@pytest.mark.parametrize("failing", [0, 1])
def test_a_failure_of_one_leaves_the_other(failing: int) -> None:
    own = rig(upstreams=2, strategy="parallel_best")
    assert own.ask(question(NAME)) is None
    packets = [server.receive() for server in own.upstreams]
    own.upstreams[failing].send(reply(packets[failing][0], rcode="SERVFAIL"), packets[failing][1])
    own.until(lambda: own.count("upstream_failures"))
    assert own.told == {}
    own.upstreams[1 - failing].send(reply(packets[1 - failing][0], LINE), packets[1 - failing][1])
    assert records(read(own.wait(own.token))) == [LINE]


def test_what_two_of_two_say_is_the_answer() -> None:
    own = rig(upstreams=2, strategy="parallel_best")
    assert own.ask(question(NAME)) is None
    for server in own.upstreams:
        packet, source = server.receive()
        server.send(reply(packet, rcode="REFUSED"), source)
    assert read(own.wait(own.token)).rcode() == dns.rcode.REFUSED
    assert own.forwarder.outstanding == 0


def test_two_that_are_silent_are_asked_again_and_given_up() -> None:
    own = rig(upstreams=2, strategy="parallel_best", timeout_ms=10)
    assert own.ask(question(NAME)) is None
    assert read(own.wait(own.token)).rcode() == dns.rcode.SERVFAIL
    assert [len(server.waiting()) for server in own.upstreams] == [3, 3]
    assert [one["outstanding"] for one in own.forwarder.health()] == [0, 0]


def test_a_truncated_answer_of_one_is_asked_for_over_tcp_at_that_one() -> None:
    own = rig(upstreams=2, strategy="parallel_best")
    assert own.ask(question(NAME)) is None
    packets = [server.receive() for server in own.upstreams]
    own.upstreams[1].send(reply(packets[1][0], said="QR RD RA TC"), packets[1][1])
    streamed: list[tuple[int, int, bytes, int]] = []
    own.until(lambda: streamed.extend(own.engine.collect_streamed()) or streamed)
    [(ticket, upstream, packet, _)] = streamed
    assert upstream == 1
    own.upstreams[0].send(reply(packets[0][0], LINE.replace(".1", ".66")), packets[0][1])
    own.turn()
    assert own.told == {}
    own.engine.deliver(ticket, reply(packet[:4] + b"\0\1\0\0\0\0\0\0" + packet[12:], LINE))
    assert records(read(own.wait(own.token))) == [LINE]


def test_a_datagram_and_a_stream_run_side_by_side() -> None:
    own = rig(upstreams=1, strategy="parallel_best", timeout_ms=20)
    own.forwarder.add_upstream([])
    assert own.ask(question(NAME)) is None
    [(ticket, upstream, packet, _)] = own.engine.collect_streamed()
    assert upstream == 1
    # The datagram runs out of time; the stream has more of it.
    own.until(lambda: own.forwarder.health()[0]["failed"])
    assert own.told == {}
    own.engine.deliver(ticket, reply(packet[:4] + b"\0\1\0\0\0\0\0\0" + packet[12:], LINE))
    assert records(read(own.wait(own.token))) == [LINE]
    assert own.forwarder.outstanding == 0


# Bounds and groups ----------------------------------------------------------------------------------------------------


def test_an_upstream_has_a_bound_on_what_waits_for_it() -> None:
    own = rig(upstreams=2, most=3)
    assert asked(own, 6) == [3, 3]
    # By UDP silence, by a stream a failure; what is on its way may still be joined.
    assert own.ask(question(NAME), transport=UDP) == b""
    assert read(own.ask(question(NAME))).rcode() == dns.rcode.SERVFAIL
    assert own.count("drop", 4) == 1
    assert own.ask(question("n0.ok.example")) is None
    assert own.forwarder.outstanding == 6


def test_names_of_a_group_are_asked_of_it_alone_and_kept_apart() -> None:
    routes = Routes([(b"\4corp\7example\0", 1)])
    own = rig(upstreams=3, routes=routes, groups=(0, 1, 1))
    inside = "www.corp.example"
    answer = own.exchange(question(inside), lambda packet: reply(packet, f"{inside}. 300 IN A 192.0.2.7"), upstream=1)
    assert records(read(answer)) == [f"{inside}. 300 IN A 192.0.2.7"]
    assert records(read(own.ask(question(inside)))) == records(read(answer))
    # Where one fails the other of the group is asked, and then nobody.
    assert own.ask(question("b.corp.example")) is None
    for upstream in (1, 2):
        packet, source = own.upstreams[upstream].receive_while(own.turn)
        own.upstreams[upstream].send(reply(packet, rcode="SERVFAIL"), source)
    assert read(own.wait(own.token)).rcode() == dns.rcode.SERVFAIL
    assert own.upstreams[0].waiting() == []
    own.exchange(question(NAME), lambda packet: reply(packet, LINE))
    # Another edge over the same cache that knows of no groups does not find it.
    assert read(own.onlooker.ask(question(inside))).rcode() == dns.rcode.SERVFAIL
    assert records(read(own.onlooker.ask(question(NAME)))) == [LINE]


def test_without_an_upstream_in_its_group_a_name_fails() -> None:
    own = rig(upstreams=1, routes=Routes([(b"\4corp\7example\0", 2)]))
    assert read(own.ask(question("corp.example"))).rcode() == dns.rcode.SERVFAIL
    assert own.upstreams[0].waiting() == []


# Down and back --------------------------------------------------------------------------------------------------------


def silence(own: Rig, count: int) -> None:
    """So many questions that nobody answers."""
    for name in names(count, "silent"):
        assert own.ask(question(name)) is None
        own.wait(own.token)


def test_a_down_upstream_is_asked_now_and_then_whether_it_is_back() -> None:
    own = rig(timeout_ms=10)
    own.engine.check()
    assert own.upstreams[0].waiting() == []
    silence(own, 3)
    assert own.forwarder.health()[0]["down"]
    own.upstreams[0].waiting()

    def checked() -> None:
        own.engine.check()
        own.turn()

    packet, source = own.upstreams[0].receive_while(checked)
    message = read(packet)
    assert (str(message.question[0].name), message.question[0].rdtype) == (".", 2)
    # Once, and not again while it is on its way.
    checked()
    assert own.upstreams[0].waiting() == []
    own.upstreams[0].send(reply(packet, rcode="REFUSED"), source)
    own.until(lambda: not own.forwarder.health()[0]["down"])
    assert own.forwarder.outstanding == 0
    # Nobody was told, nothing was kept.
    assert own.told == {}
    assert own.ask(question(".", "NS")) is None


def test_a_down_upstream_that_stays_silent_is_asked_less_and_less() -> None:
    own = rig(timeout_ms=5)
    silence(own, 3)
    own.upstreams[0].waiting()

    def checked() -> None:
        own.engine.check()
        own.turn()

    own.upstreams[0].receive_while(checked)
    own.until(lambda: own.forwarder.outstanding == 0)
    assert own.forwarder.health()[0]["down"]
    for _ in range(20):
        checked()
    assert own.upstreams[0].waiting() == []
