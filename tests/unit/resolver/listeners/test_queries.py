"""Late answers reach who asked, once."""

from __future__ import annotations

from blocklist_sync.artifact.categories import Category
from resolver.listeners.queries import Queries
from tests.support.blocklist import OFFER, entry
from tests.support.engine import CLIENT, policy, rig
from tests.support.packets import question, read, reply

TCP, DOT = 2, 3


def test_what_is_known_is_answered_at_once_under_the_profile_asked_for() -> None:
    own = rig(policy(entry("school-only.example", Category.GAMBLING, order=OFFER)))
    queries = Queries(own.engine, lambda: None)
    told: list[bytes] = []
    answer = queries.ask(question("school-only.example"), CLIENT, DOT, 1, told.append)
    assert answer is not None
    assert read(answer).rcode().name == "NXDOMAIN"
    assert queries.ask(question("school-only.example"), CLIENT, DOT, -1, told.append) is None
    assert told == []


def test_each_late_answer_comes_to_the_one_who_asked_and_only_once() -> None:
    own = rig()
    queries = Queries(own.engine, lambda: None)
    told: dict[str, list[bytes]] = {name: [] for name in ("a.example", "b.example")}
    asked = []
    for name, mine in told.items():
        assert queries.ask(question(name), CLIENT, TCP, -1, mine.append) is None
        asked.append(own.upstreams[0].receive())
    for query, source in reversed(asked):
        own.upstreams[0].send(reply(query, f"{read(query).question[0].name} 60 IN A 192.0.2.1"), source)
    own.until(lambda: len(own.told) == 2)
    for token, answer in list(own.told.items()):
        queries.deliver(token, answer)
        queries.deliver(token, answer)
    assert {name: [str(read(one).question[0].name) for one in mine] for name, mine in told.items()} == {
        "a.example": ["a.example."],
        "b.example": ["b.example."],
    }


def test_an_answer_that_nobody_asked_for_is_dropped() -> None:
    Queries(rig().engine, lambda: None).deliver(99, b"answer")
