from __future__ import annotations

from pathlib import Path

import pytest

from compliance_api.domain.findings.casework import Action
from compliance_api.ledger import outside
from lachan.ledger.errors import LedgerError
from lachan.ledger.leaf import Kind
from lachan.signing import SigningKey
from tests.support.people import AN, OWN
from tests.support.steps import SERVICE, Book, let_in

LINE = f"{OWN.identity} {OWN.key.public.raw.hex()}"


def test_parties_are_named_a_line_each() -> None:
    found = outside.parse_parties(f"# ours\n\n{LINE}\n{AN.identity} {AN.key.public.raw.hex()}\n".encode(), "people")
    assert found == {str(one.identity): frozenset({one.key.public.raw}) for one in (OWN, AN)}


def test_whoever_names_some_of_a_kind_names_all_of_it() -> None:
    nodes = [SigningKey.generate().public.raw for _ in range(3)]
    text = f"{LINE}\n" + "".join(f"lachan://a/node/edge-1 {one.hex()}\n" for one in nodes[:2])
    brought = outside.Outside(outside.parse_parties(text.encode(), "parties"))
    assert [brought.denies("lachan://a/node/edge-1", one) for one in nodes] == [False, False, True]
    assert brought.denies("lachan://a/node/edge-2", nodes[0])
    assert not brought.denies("lachan://a/probe/p1", nodes[2])
    assert not brought.denies("lachan://b/node/edge-1", nodes[2])
    assert not outside.Outside().denies("lachan://a/node/edge-1", nodes[2])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "names nobody"),
        ("nobody", "line 1"),
        (f"{LINE}\n{LINE}", "line 2"),
        (LINE.replace("person", "service"), "line 1"),
        (LINE[:-1], "line 1"),
        (LINE.replace("khanh", "Khanh"), "line 1"),
    ],
)
def test_what_names_nobody_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(LedgerError, match=complaint):
        outside.parse_parties(text.encode(), "people")


def test_what_was_kept_is_believed_by_the_services_key_alone(tmp_path: Path) -> None:
    made = Book()
    made.tell(Kind.ENROLMENT, let_in(AN))
    index = made.take(AN, Action.CONFIRM)
    kept, key, other = tmp_path / "kept.json", tmp_path / "receipt.pem", tmp_path / "other.pem"
    kept.write_bytes(made.kept(index).encode())
    key.write_bytes(SERVICE.public.pem())
    other.write_bytes(SigningKey.generate().public.pem())
    (found,) = outside.read(None, [kept], key).acknowledged
    assert (found.receipt.leaf, found.stated.person) == (index, str(AN.identity))
    for receipts, complaint in ((other, "does not hold"), (None, "is not given"), (kept, "public key")):
        with pytest.raises(LedgerError, match=complaint):
            outside.read(None, [kept], receipts)
    kept.write_bytes(kept.read_bytes().replace(b"because", b"BECAUSE"))
    with pytest.raises(LedgerError, match=r"kept\.json: statement: the signature does not hold"):
        outside.read(None, [kept], key)
    (tmp_path / "people").write_text(LINE)
    assert set(outside.read(tmp_path / "people", [], None).parties) == {str(OWN.identity)}
