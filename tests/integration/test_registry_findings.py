"""What rails find reaches whoever decides: on a real PostgreSQL, by the verbs that people have."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import idna
import pytest

from blocklist_sync.central.log import changes, proposals
from blocklist_sync.central.log.proposals import Proposal
from lachan import postgres
from lachan.errors import LachanError
from tests.support import clear_list
from tests.support.clear_list import Entries
from tests.support.registry import GAMBLING, ORDER
from tests.support.registry_office import Office, order_arguments

RAILS = """
shipped_names: false
change: {at_least: 3}
halved: {at_least: 2}
never_block:
  - {id: service, why: used daily, names: [service.example], severity: second-approver}
"""
OTHER = GAMBLING._replace(order=replace(GAMBLING.order, text="13/QĐ"))
ALIKE = idna.encode("sеrvice.example").decode()


class Guarded(Office):
    """An office with rails of its own, and a list of sixty names."""

    def propose(self, *names: str, override: str = "", status: int = 0) -> Any:
        more = ("--override", override) if override else ()
        terms = ("--order", ORDER.number, "--category", "gambling", "--reason", "As the order says")
        if status:
            return self.run("propose", *names, *terms, *more, person="editor", status=status)
        return self.told("propose", *names, *terms, *more, person="editor")

    def approve(self, made: Any, person: str) -> Any:
        return self.told("approve", made["id"], "--yes", person=person)

    def take_out(self, path: Path, name: str) -> Any:
        """Proposes that an entry of the other order goes."""
        summary = changes.write(path, [(name, OTHER, False)])
        now = int(time.time())
        made = Proposal(
            id=str(uuid.uuid4()),
            order=ORDER,
            effective_from=now,
            review_by=now + 86_400,
            reason="Appeal upheld",
            proposer="editor",
            proposed_at=now,
            changes_sha256=summary.digest.hex(),
            added=0,
            removed=1,
        )
        editor = self.colleagues["editor"]

        async def submit() -> None:
            async with editor.calling() as client:
                await client.submit(made.encode(), proposals.sign_proposal(editor.signer, made), path)

        asyncio.run(submit())
        return {"id": made.id}

    @property
    def list(self) -> Path:
        return self.folder / "release" / "entries.tsv"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    made = Guarded(tmp_path_factory.mktemp("office"))
    with postgres.embedded(made.folder / "db"):
        (made.folder / "rails.yaml").write_text(RAILS)
        made.configure(rails=str(made.folder / "rails.yaml"))
        held = Entries()
        held.add(GAMBLING, [f"held{number}.example" for number in range(116)], 1)
        held.add(OTHER, [f"other{number}.example" for number in range(4)], 1)
        made.list.parent.mkdir(exist_ok=True)
        clear_list.write(made.list, held)
        made.start()
        try:
            made.found()
            made.run(*order_arguments(ORDER), person="editor")
            yield made
        finally:
            made.stop()


def test_what_is_only_to_be_looked_at_is_shown_to_whoever_looks(office: Guarded) -> None:
    made = office.propose(ALIKE)
    shown = office.told("proposals", "show", made["id"], person="first")
    [found] = shown["findings"]
    assert (found["rail"], found["severity"], found["names"]) == (
        "confusable",
        "review",
        [f"{ALIKE} (service.example)"],
    )
    assert shown["approvals_needed"] == 1
    assert "confusable" in office.run("approve", made["id"], "--yes", person="first")
    assert "confusable" in office.run("explain", ALIKE, person="editor")


def test_an_overridden_rail_is_shown_beside_its_proposers_words(office: Guarded) -> None:
    assert "never-block-service: used daily" in office.propose("service.example", status=1)
    made = office.propose("service.example", override="never-block-service=Nothing to see here")
    [found] = office.told("proposals", "show", made["id"], person="first")["findings"]
    assert (found["rail"], found["why"], found["names"]) == ("never-block-service", "used daily", ["service.example"])
    assert office.approve(made, "first")["state"] == "proposed"
    assert office.approve(made, "second")["state"] == "approved"


def test_many_small_changes_are_no_way_around(office: Guarded) -> None:
    """What somebody alone approved counts until the list shows it, and what is found then needs a second person."""
    one = office.propose(*(f"one{number}.example" for number in range(8)))
    two = office.propose(*(f"two{number}.example" for number in range(8)))
    assert one["findings"] == two["findings"] == []
    assert office.approve(one, "first")["state"] == "approved"
    first = office.approve(two, "first")
    assert (first["state"], first["approvals_needed"], len(first["approvals"])) == ("proposed", 2, 1)
    [found] = first["findings"]
    assert (found["rail"], found["severity"]) == ("change", "second-approver")
    # One name of the test above was approved by one person as well.
    assert found["why"].startswith("17 entries come or go (9 of them decided before), more than 10 % of the 120")
    three = [f"three{number}.example" for number in range(4)]
    assert "rails.change: 13 entries come or go" in office.propose(*three, status=1)
    # Found once, it is not found again; and the second person decides.
    second = office.approve(two, "second")
    assert (second["state"], len(second["findings"])) == ("approved", 1)


def test_a_list_that_cannot_be_read_lets_nothing_through(office: Guarded) -> None:
    made = office.propose("last.example", "later.example", override="change=Weighed")
    held = office.list.read_bytes()
    office.list.write_bytes(held + b"noise")
    try:
        assert "entries.tsv" in office.run("approve", made["id"], "--yes", person="first", status=1)
    finally:
        office.list.write_bytes(held)
    assert office.approve(made, "first")["state"] == "proposed"


def test_an_order_is_not_taken_out_bit_by_bit_by_one_person(office: Guarded, tmp_path: Path) -> None:
    """Each is small, and none says anything of the others; the one that makes it most of an order needs a second."""
    names = [f"other{number}.example" for number in range(4)]
    small = [office.take_out(tmp_path / name, name) for name in names[:3]]
    for made in small[:2]:
        assert office.approve(made, "first")["state"] == "approved"
    last = office.approve(small[2], "first")
    assert (last["state"], last["approvals_needed"]) == ("proposed", 2)
    [found] = last["findings"]
    assert (found["rail"], found["severity"]) == ("halved", "second-approver")
    assert found["why"] == "3 of 4 entries of 13/QĐ go (2 of them decided before), more than 50 %"
    assert office.approve(small[2], "second")["state"] == "approved"
    # Those whom two people let pass were weighed; what one alone did still counts where a proposal comes in.
    with pytest.raises(LachanError, match=r"halved: 3 of 4 entries of 13/QĐ go \(2 of them decided before\)"):
        office.take_out(tmp_path / names[3], names[3])
