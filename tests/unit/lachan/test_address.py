from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from lachan.address import Address, Port, is_address


@pytest.mark.parametrize("text", ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "fe80::1%eth0"])
def test_an_address_is_one(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize("text", ["", "dns.example", "192.0.2", "192.0.2.01", "192.0.2.1:53", "[2001:db8::1]"])
def test_a_name_or_half_of_one_is_none(text: str) -> None:
    assert not is_address(text)
    with pytest.raises(ValidationError):
        TypeAdapter(Address).validate_python(text)


def test_an_address_has_one_text() -> None:
    assert TypeAdapter(Address).validate_python("2001:DB8:0:0::1") == "2001:db8::1"


@pytest.mark.parametrize(("port", "holds"), [(0, False), (1, True), (65535, True), (65536, False)])
def test_a_port_has_bounds(port: int, holds: bool) -> None:
    assert is_port(port) is holds


def is_port(port: int) -> bool:
    """Whether configuration takes it."""
    try:
        TypeAdapter(Port).validate_python(port)
    except ValidationError:
        return False
    return True
