from __future__ import annotations

import contextlib
import socket
from collections import Counter

import pytest

from deploy.demo.ports import ADDRESS, PortError, Ports
from tests.support.ports import free_base


def test_the_default_is_what_the_papers_say() -> None:
    ports = Ports(10053)
    assert (ports.operator_a, ports.operator_b, ports.console) == (10053, 10054, 8080)


def test_another_base_moves_every_port() -> None:
    claims = {claim.port for claim in Ports(20053).claims()}
    assert min(claims) == 20053
    assert max(claims) == 20067
    assert not claims & {claim.port for claim in Ports(10053).claims()}


def test_no_port_is_given_twice() -> None:
    counts = Counter(claim.port for claim in Ports(10053).claims())
    assert set(counts.values()) == {1}


@pytest.mark.parametrize("base", [0, 80, 65530, 70000, -1])
def test_a_base_without_room_is_refused(base: int) -> None:
    with pytest.raises(PortError, match=f"PORT_BASE={base}"):
        Ports(base)


def test_every_busy_port_is_named_with_who_wanted_it() -> None:
    ports = Ports(free_base())
    ports.check()
    with contextlib.ExitStack() as stack:
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind((ADDRESS, ports.operator_a))
        stack.enter_context(socket.create_server((ADDRESS, ports.console)))
        with pytest.raises(PortError) as caught:
            ports.check()
    first, second, advice = str(caught.value).splitlines()
    assert first == f"port {ports.operator_a}/udp on 127.0.0.1: in use (wanted by operator A's resolver)"
    assert second == f"port {ports.console}/tcp on 127.0.0.1: in use (wanted by the console)"
    assert "PORT_BASE=" in advice
    ports.check()
