from __future__ import annotations

from datetime import UTC, datetime

from compliance_api.domain.parties.credential import Membership
from compliance_api.domain.parties.organisation import Label, Node, Organisation, OrganisationKind, Registry
from compliance_api.rpc.membership import PART, ended, let_in, parts
from lachan.tls import Identity, Role

GONE, BACK, ENROLLED = (Identity("a", Role.NODE, name) for name in ("gone", "back", "enrolled"))
WHEN = datetime(2026, 3, 1, 0, 0, 0, 5, tzinfo=UTC)
SECONDS = int(WHEN.timestamp())


def test_who_was_ended_is_told_as_this_service_judges_it() -> None:
    membership = Membership(
        3,
        revoked_at={GONE: WHEN, BACK: WHEN, ENROLLED: WHEN},
        revoked=frozenset([GONE]),
        issued={ENROLLED: frozenset([b"new" * 8])},
    )
    # Not a certificate of the second in which they were ended counts.
    assert ended(membership) == {GONE: 0, BACK: SECONDS + 1}


def test_nodes_that_were_let_in_are_told_and_no_others() -> None:
    there, gone, before = (Node(name, b"k" * 32, (), frozenset()) for name in ("there", "gone", "before"))
    owner = Organisation("a", OrganisationKind.OPERATOR, Label("x", "x"), frozenset(), (there, gone), former=(before,))
    membership = Membership(3, Registry((), (owner,)), revoked=frozenset([GONE]))
    assert let_in(membership) == ["lachan://a/node/there"]
    (part,) = parts(membership)
    assert (list(part.nodes), part.tells_nodes) == (["lachan://a/node/there"], True)


def test_there_is_always_a_part_and_none_is_too_long() -> None:
    assert [(part.revision, len(part.parties)) for part in parts(Membership(5))] == [(5, 0)]
    many = Membership(
        6,
        revoked=frozenset(Identity("a", Role.NODE, f"n{number}") for number in range(PART + 1)),
        revoked_certificates=frozenset(number.to_bytes(32) for number in range(2 * PART + 1)),
    )
    found = parts(many)
    assert [(len(part.parties), len(part.certificates)) for part in found] == [(PART, PART), (1, PART), (0, 1)]
    assert {part.revision for part in found} == {6}
    assert len({digest for part in found for digest in part.certificates}) == 2 * PART + 1
