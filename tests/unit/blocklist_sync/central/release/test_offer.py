from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
from tuf.api.metadata import Delegations, Metadata, Targets

from blocklist_sync.central.release import offer
from blocklist_sync.central.release.offer import OfferError, Rollback
from tests.support.list_authority import ListAuthority


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Metadata[Targets]:
    authority = ListAuthority(tmp_path_factory.mktemp("list"))
    authority.build("a.example")
    return authority.release.document()


def test_a_document_says_what_it_is_of(document: Metadata[Targets]) -> None:
    said = offer.read(document)
    assert (said.version, said.serial, said.names, said.log_length, said.urgent) == (1, 1, 1, 5, False)
    assert (said.folded_length, said.folded_as_of) == (said.log_length, said.as_of)
    rolled = copy.deepcopy(document)
    rolled.signed.targets["list/records.bin"].custom["rollback"] = {"serial": 3, "log_length": 4, "as_of": 5}
    said = offer.read(rolled)
    assert (said.rollback, said.folded_length, said.folded_as_of) == (Rollback(3, 4, 5), 4, 5)


def change(**custom: object) -> Callable[[Targets], None]:
    return lambda signed: signed.targets["list/records.bin"].custom.update(custom)


def without(path: str) -> Callable[[Targets], None]:
    return lambda signed: signed.targets.pop(path) and None


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (change(serial=0), "serial is 0"),
        (change(serial="1"), "serial is '1'"),
        (change(serial=True), "serial is True"),
        (change(as_of=1 << 63), "as_of is"),
        (change(log_head="x"), "log_head is no digest"),
        (change(content=5), "content is no digest"),
        (change(urgent=1), "urgent"),
        (change(extra=1), "unknown: extra"),
        (change(rollback=5), "serial is None"),
        (change(rollback={"serial": 1, "log_length": 0, "as_of": 1}), "log_length is 0"),
        (without("list/policy.json"), "nothing else"),
        (lambda signed: setattr(signed, "delegations", Delegations({}, {})), "more than a list's may"),
        (lambda signed: signed.unrecognized_fields.update(x=1), "more than a list's may"),
        (lambda signed: signed.targets["list/manifest"].hashes.update(sha512="ab"), "by SHA-256 alone"),
        (lambda signed: signed.targets["list/manifest"].hashes.update(sha256="ab"), "by SHA-256 alone"),
    ],
)
def test_what_says_anything_else_is_refused(
    document: Metadata[Targets], alter: Callable[[Targets], None], message: str
) -> None:
    other = copy.deepcopy(document)
    alter(other.signed)
    with pytest.raises(OfferError, match=message):
        offer.read(other)


def test_a_document_without_custom_data_is_refused(document: Metadata[Targets]) -> None:
    other = copy.deepcopy(document)
    other.signed.targets["list/records.bin"].unrecognized_fields.clear()
    with pytest.raises(OfferError, match="serial is None"):
        offer.read(other)
