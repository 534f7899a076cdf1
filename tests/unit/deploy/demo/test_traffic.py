from __future__ import annotations

import random
from collections import Counter

from deploy.demo.traffic import TrafficSettings, mixed, pick, tally
from lachan.message import NXDOMAIN, A, ExtendedError, query
from lachan.reply import Reply, respond

SETTINGS = TrafficSettings(resolvers={"a": 10053}, listed=("xau.example",), clean=("tot.example",))


def test_everything_is_asked_about() -> None:
    rng = random.Random(1)
    asked = [pick(SETTINGS, rng) for _ in range(2000)]
    names = Counter(name.lower() for name, _ in asked)
    assert names["xau.example"] > 200
    assert names["www.xau.example"] > 20
    assert names["tot.example"] > 200
    assert sum(count for name, count in names.items() if name.startswith("nx")) > 100
    assert any(name != name.lower() for name, _ in asked)
    assert {qtype for _, qtype in asked} == {1, 28, 65}
    for name, qtype in asked[:100]:
        assert query(name, qtype, id=1)


def test_case_is_mixed_and_nothing_else() -> None:
    name = mixed("tai-xiu-vang.example", random.Random(2))
    assert name != "tai-xiu-vang.example"
    assert name.lower() == "tai-xiu-vang.example"


def test_answers_are_told_apart() -> None:
    counts: Counter[str] = Counter()
    asked = query("xau.example", A, id=1)
    tally(counts, respond(asked, Reply(NXDOMAIN, errors=(ExtendedError(16),))))
    tally(counts, respond(asked, Reply(NXDOMAIN)))
    tally(counts, respond(asked, Reply()))
    tally(counts, b"?")
    assert counts == {"answered": 3, "blocked": 1, "absent": 1, "malformed": 1}
