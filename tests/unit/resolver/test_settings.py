"""What the edge makes of a good edge.yaml."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

import pytest

from lachan.config import ConfigError, parse
from resolver.edgefile import EdgeFile
from resolver.settings import Edge, mapped, normalise, read

LEAST = """\
organisation: isp-a
node: edge-1
listen: [{address: 127.0.0.1}]
upstreams: [{address: 192.0.2.53}]
blocklist: {snapshot: rules.snapshot}
"""


def edge(text: str = LEAST) -> Edge:
    return normalise(parse(text, EdgeFile))


def test_little_must_be_said() -> None:
    made = edge()
    file = made.file
    assert (file.listen[0].port, file.upstreams[0].port, file.access.others) == (53, 53, "refuse")
    assert made.workers == len(os.sched_getaffinity(0))
    assert (made.profiles, made.window_seconds) == (("default",), 300)
    assert made.control_socket == Path("/run/lachan/supervisor.sock")
    # Nobody from outside is served unless somebody said so.
    assert all(ipaddress.ip_network(text).is_private or text == "100.64.0.0/10" for text in file.access.allow)


def test_networks_stand_longest_first_and_a_schools_before_an_allowed_one() -> None:
    made = edge(
        LEAST
        + "access: {allow: [10.0.0.0/8, 10.1.0.0/16, '2001:db8::/32']}\n"
        + "profiles: [{name: school, networks: [10.1.0.0/16, '2001:db8:1::/48', 10.1.2.3]}]\n"
    )
    assert made.networks == (
        (mapped("10.1.2.3"), 128, "school"),
        (mapped("10.1.0.0"), 112, "school"),
        (mapped("10.1.0.0"), 112, "default"),
        (mapped("10.0.0.0"), 104, "default"),
        (mapped("2001:db8:1::"), 48, "school"),
        (mapped("2001:db8::"), 32, "default"),
    )
    assert made.profiles == ("default", "school")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", bytes(10) + b"\xff\xff\xc0\0\2\1"),
        ("::ffff:192.0.2.1", bytes(10) + b"\xff\xff\xc0\0\2\1"),
        ("2001:db8::1", b"\x20\x01\x0d\xb8" + bytes(11) + b"\1"),
    ],
)
def test_an_address_has_sixteen_bytes(address: str, expected: bytes) -> None:
    assert mapped(address) == expected


def test_what_a_worker_is_told_is_what_the_supervisor_read(tmp_path: Path) -> None:
    path = tmp_path / "edge.yaml"
    path.write_text(LEAST + "profiles: [{name: school, networks: [198.51.100.0/24]}]\ncache: {size: 64MB}\n")
    told = read(path)
    assert normalise(EdgeFile.model_validate_json(told.file.model_dump_json())) == told


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read(tmp_path / "edge.yaml")
