"""What processes are told: whole, whatever its size, and never by nobody."""

from __future__ import annotations

import os
import socket

import pytest

from resolver.brief import Brief, UntoldError, hear_rules, tell_rules

BRIEF = Brief(1, 2, "{}", [{"fd": 3}], 4, 2**63, "ab" * 16, 5)


def ends() -> tuple[socket.socket, int]:
    """Where rules are told, and where they are heard."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return here, there.detach()


def test_a_brief_comes_as_it_was_given() -> None:
    assert Brief.from_fd(BRIEF.to_fd()) == BRIEF


@pytest.mark.parametrize("size", [10, 1 << 20])
def test_rules_come_as_they_were_told(size: int) -> None:
    rules = {"bundle": "b" * size, "epoch": 3}
    here, there = ends()
    snapshot = os.memfd_create("list")
    os.write(snapshot, b"the list")
    with here:
        tell_rules(here, rules, snapshot)
    told, fd = hear_rules(there)
    assert told == rules
    assert fd is not None
    assert os.pread(fd, 100, 0) == b"the list"
    assert os.fstat(fd).st_ino == os.fstat(snapshot).st_ino
    for one in (fd, snapshot):
        os.close(one)


def test_there_need_not_be_a_list() -> None:
    here, there = ends()
    with here:
        tell_rules(here, {"epoch": 1}, None)
    assert hear_rules(there) == ({"epoch": 1}, None)


def test_whose_supervisor_has_gone_is_told_nothing() -> None:
    here, there = ends()
    here.close()
    with pytest.raises(UntoldError, match="before it told"):
        hear_rules(there)


def test_who_has_gone_cannot_be_told() -> None:
    here, there = ends()
    os.close(there)
    with here, pytest.raises(UntoldError, match="ended before"):
        tell_rules(here, {}, None)
