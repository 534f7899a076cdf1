"""Requests as the registry reads them."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest

from blocklist_sync.central.registry import messages
from blocklist_sync.central.registry.errors import InvalidRequestError
from lachan.blocklist.v1 import registry_service_pb2 as pb
from tests.support.registry import EDITOR, ORDER


def test_an_order_goes_through_its_message() -> None:
    assert messages.order_of(messages.order_message(ORDER)) == ORDER
    with pytest.raises(InvalidRequestError) as caught:
        messages.order_of(pb.Order(number="1", date="soon"))
    assert caught.value.violations[0][0] == "order.date"
    decomposed = messages.order_message(replace(ORDER, number=unicodedata.normalize("NFD", "45/CV-Sở")))
    with pytest.raises(InvalidRequestError, match=r"order\.number: not in Unicode's composed form"):
        messages.order_of(decomposed)


def test_a_person_goes_through_their_message() -> None:
    request = pb.AdmitPersonRequest(change="enrol", person=messages.person_message(EDITOR.person), decided_at=5)
    admission, witness = messages.admission_of(request, "first")
    assert (admission.person, admission.decided_at, witness.person) == (EDITOR.person, 5, "first")
    request.person.roles.append("approver")
    with pytest.raises(InvalidRequestError, match=r"person\.roles"):
        messages.admission_of(request, "first")


def test_pages_are_bounded() -> None:
    assert messages.page_size(0) == 100
    with pytest.raises(InvalidRequestError, match="page_size"):
        messages.page_size(501)
    assert messages.token_numbers("", 1) is None
    assert messages.token_numbers("12:34", 2) == [12, 34]
    for token in ("12", "a:b", "1:2:3", "-1:2", "9" * 30 + ":1"):
        with pytest.raises(InvalidRequestError, match="page_token"):
            messages.token_numbers(token, 2)
