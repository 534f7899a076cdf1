"""Hits per listed name, by the hour, as the engine counts them; what does not fit is counted together."""

from __future__ import annotations

import struct
import time

import pytest

from resolver._hot.tally import TALLY_LAYOUT, Tally
from tests.support.blocklist import entry
from tests.support.engine import Rig, policy, rig
from tests.support.packets import question, reply

HALVES, SLOTS, HEADER, HALF_WORDS = (TALLY_LAYOUT[name] for name in ("halves", "slots", "header", "half_words"))


def halves(own: Rig) -> dict[int, tuple[int, dict[int, int], int]]:
    """Of each half that was begun: the hour's start, hits by fingerprint, and hits on names without a slot."""
    found = {}
    for number in range(HALVES):
        words = struct.unpack_from(f"<{HALF_WORDS}Q", own.tally, number * HALF_WORDS * 8)
        if words[0]:
            slots = words[HEADER:]
            counts = {slots[at]: slots[at + 1] for at in range(0, len(slots), 2) if slots[at]}
            found[number] = words[0] - 1, counts, words[1]
    return found


def hits(own: Rig) -> dict[int, int]:
    """Hits by fingerprint over all hours."""
    total: dict[int, int] = {}
    for _, counts, _ in halves(own).values():
        for fingerprint, count in counts.items():
            total[fingerprint] = total.get(fingerprint, 0) + count
    return total


def test_a_hit_counts_for_the_listed_name_whatever_was_asked_below_it() -> None:
    rules = policy(entry("bad.example"), entry("worse.example"))
    assert rules.snapshot is not None
    own = rig(rules)
    for name in ("bad.example", "www.bad.example", "A.B.BAD.EXAMPLE", "worse.example"):
        own.ask(question(name))
    own.exchange(question("www.ok.example"), lambda asked: reply(asked, "www.ok.example. 300 IN A 192.0.2.1"))
    own.ask(question("www.ok.example"))
    fingerprint = rules.snapshot.fingerprint
    assert hits(own) == {fingerprint("bad.example"): 3, fingerprint("worse.example"): 1}
    now = int(time.time())
    assert all(now - 3700 < start <= now and start % 3600 == 0 for start, _, _ in halves(own).values())


def test_a_listed_target_counts_for_its_name() -> None:
    rules = policy(entry("bad.example"))
    assert rules.snapshot is not None
    own = rig(rules)
    lines = ("www.ok.example. 300 IN CNAME x.bad.example.", "x.bad.example. 300 IN A 192.0.2.1")
    own.exchange(question("www.ok.example"), lambda asked: reply(asked, *lines))
    own.ask(question("www.ok.example"))
    assert hits(own) == {rules.snapshot.fingerprint("bad.example"): 2}


def test_names_beyond_the_slots_are_counted_together() -> None:
    rules = policy(entry("bad.example"), entry("worse.example"))
    assert rules.snapshot is not None
    own = rig(rules, upstreams=0)
    own.ask(question("bad.example"))
    # Every free slot is taken by a name that is asked no more.
    for half in halves(own):
        first = half * HALF_WORDS + HEADER
        for slot in range(SLOTS):
            if not any(own.tally[8 * (first + 2 * slot) : 8 * (first + 2 * slot) + 8]):
                struct.pack_into("<QQ", own.tally, 8 * (first + 2 * slot), 1 << 63 | slot, 0)
    for _ in range(3):
        own.ask(question("worse.example"))
    own.ask(question("bad.example"))
    rest = sum(rest for _, _, rest in halves(own).values())
    fingerprint = rules.snapshot.fingerprint
    assert hits(own)[fingerprint("bad.example")] == 2
    assert rest + hits(own).get(fingerprint("worse.example"), 0) == 3
    # Unless the hour ended meanwhile, no slot was free.
    assert rest == 3 or len(halves(own)) > 1


def test_a_part_has_one_size() -> None:
    size = HALVES * HALF_WORDS * 8
    for wrong in (0, size - 8, size + 8):
        with pytest.raises(ValueError, match=f"{wrong} bytes"):
            Tally(bytearray(wrong))
    with pytest.raises(BufferError):
        Tally(bytes(size))
