from __future__ import annotations

import pytest

from lachan.ledger import policy
from lachan.ledger.checkpoint import Checkpoint
from lachan.ledger.note import Note, NoteError
from lachan.ledger.policy import (
    MAX_AHEAD_S,
    FutureError,
    LogSignatureError,
    QuorumError,
    UnknownLogError,
)
from lachan.signing import SigningKey
from tests.support.ledger import NOON, Parties, forest

ROOT = forest(5).root()


@pytest.fixture(scope="module")
def parties() -> Parties:
    return Parties()


def test_two_of_three_suffice(parties: Parties) -> None:
    believed = parties.policy.check(parties.head(5, ROOT, {"w3": NOON + 2, "w1": NOON}), NOON)
    assert believed.checkpoint.size == 5
    assert believed.times == {"w1": NOON, "w3": NOON + 2}
    assert (believed.earliest, believed.latest) == (NOON, NOON + 2)


def test_one_of_three_does_not_even_twice(parties: Parties) -> None:
    once = parties.head(5, ROOT, {"w2": NOON})
    twice = once.with_signatures(parties.head(5, ROOT, {"w2": NOON + 1}).signatures)
    for signed in (once, twice):
        with pytest.raises(QuorumError, match="5 leaves: cosigned by w2, which is not 2 of w1, w2, w3"):
            parties.policy.check(signed, NOON)
    with pytest.raises(QuorumError, match="by nobody"):
        parties.policy.check(parties.head(5, ROOT, {}), NOON)


def test_a_cosignature_that_does_not_hold_refuses_the_whole(parties: Parties) -> None:
    good = parties.head(5, ROOT, {"w1": NOON, "w2": NOON, "w3": NOON})
    other = parties.head(6, ROOT, {"w3": NOON})
    with pytest.raises(NoteError, match=r"signature of w3\.example/witness"):
        parties.policy.check(Note(good.text, (*good.signatures[:-1], other.signatures[-1])), NOON)


def test_witnesses_cannot_stand_in_for_the_log(parties: Parties) -> None:
    good = parties.head(5, ROOT, {"w1": NOON, "w2": NOON})
    with pytest.raises(LogSignatureError, match="no signature of the log"):
        parties.policy.check(Note(good.text, good.signatures[1:]), NOON)


def test_a_log_that_is_not_named_is_not_believed(parties: Parties) -> None:
    with pytest.raises(UnknownLogError, match=r"log\.example/other"):
        parties.policy.check(Checkpoint("log.example/other", 5, ROOT).signed(SigningKey.generate()), NOON)


def test_a_witness_from_the_future_is_not_believed(parties: Parties) -> None:
    ahead = parties.head(5, ROOT, {"w1": NOON + MAX_AHEAD_S + 1, "w2": NOON})
    with pytest.raises(FutureError, match="witness w1: cosigned 301 s from now"):
        parties.policy.check(ahead, NOON)
    parties.policy.check(ahead, NOON + 1)


def test_groups_of_groups(parties: Parties) -> None:
    text = parties.policy_text.replace(
        "group all-three 2 w1 w2 w3", "group pair any w1 w2\ngroup all-three all pair w3"
    )
    made = policy.parse(text.encode())
    made.check(parties.head(5, ROOT, {"w2": NOON, "w3": NOON}), NOON)
    with pytest.raises(QuorumError, match="not 2 of pair, w3"):
        made.check(parties.head(5, ROOT, {"w1": NOON, "w2": NOON}), NOON)


def test_nobody_or_one_may_be_asked_for(parties: Parties) -> None:
    head = parties.head(5, ROOT, {"w1": NOON})
    believed = policy.parse(f"log {parties.log_key}\nquorum none\n".encode()).check(head, NOON)
    assert believed.times == {}
    # Nobody's word leaves all the room there is.
    assert believed.latest < NOON < believed.earliest
    one = f"log {parties.log_key}\n\twitness w2 {parties.witness_key('w2')} https://w2.example/\nquorum w2".encode()
    with pytest.raises(QuorumError, match="which is not w2"):
        policy.parse(one).check(head, NOON)
    assert policy.parse(one).addresses == {"w2": "https://w2.example/"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("trust me", "line 1: neither log, witness"),
        ("log nothing", "line 1: not a verifier key"),
        ("log {log}\nlog {log}", "line 2: .* stands in the policy twice"),
        ("log {w1}", "line 1: .* of kind 4, not 1"),
        ("witness w1 {log}", "line 1: .* of kind 1, not 4"),
        ("witness w1 {w1}\nwitness w1 {w2}", "line 2: the name w1 is taken"),
        ("witness none {w1}", "line 1: the name none is taken"),
        ("witness w1 {w1}\ngroup g 2 w1", "line 2: 2 of 1 members"),
        ("witness w1 {w1}\ngroup g 0 w1", "line 2: 0 of 1 members"),
        ("witness w1 {w1}\ngroup g some w1", "line 2: the number of members is not"),
        ("witness w1 {w1}\ngroup g any w1 w1", "line 2: w1 is a member already"),
        ("group g any g", "line 1: g is neither"),
        ("quorum g", "line 1: g is neither"),
        ("quorum none\nquorum none", "line 2: a second quorum"),
        ("log {log}", "no quorum"),
        ("quorum none\r", "line 1: a control character"),
        ("# \udcff", "line 1: not UTF-8"),
        ("#" * (policy.MAX_POLICY_BYTES + 1), "larger than"),
    ],
)
def test_what_is_no_policy_is_refused_by_its_line(parties: Parties, line: str, reason: str) -> None:
    keys = {"log": parties.log_key, "w1": parties.witness_key("w1"), "w2": parties.witness_key("w2")}
    with pytest.raises(NoteError, match=reason):
        policy.parse(line.format(**keys).encode(errors="surrogateescape"))


def test_the_number_of_keys_is_bounded() -> None:
    lines = "".join(f"log {Parties().log_key}\n" for _ in range(policy.MAX_EACH + 1))
    with pytest.raises(NoteError, match="line 33: more than 32 logs"):
        policy.parse(lines.encode())
