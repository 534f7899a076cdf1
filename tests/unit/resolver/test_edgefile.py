"""edge.yaml: every problem at once, with its path and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lachan.config import ConfigError, parse
from resolver.edgefile import EdgeFile
from resolver.settings import Edge, normalise, read

LEAST = """\
organisation: isp-a
node: edge-1
listen: [{address: 127.0.0.1}]
upstreams: [{address: 192.0.2.53}]
blocklist: {snapshot: rules.snapshot}
"""

ENCRYPTED = """\
organisation: isp-a
node: edge-1
listen:
  - {address: 127.0.0.1}
  - address: 127.0.0.1
    protocol: dot
    tls: {certificate: c.pem, key: k.pem}
    profiles: {server_names: {school.dns.example: school}}
  - address: 127.0.0.1
    protocol: doh
    tls: {certificate: c.pem, key: k.pem}
    profiles: {server_names: {school.dns.example: school, dns.example: default}, paths: {/dns-query/school: school}}
profiles: [{name: school}]
upstreams: [{address: 192.0.2.53}]
blocklist: {snapshot: rules.snapshot}
"""


def edge(text: str = LEAST) -> Edge:
    return normalise(parse(text, EdgeFile))


def problems(text: str) -> dict[str, tuple[str, int | None]]:
    """Path to message and line of everything wrong with a file."""
    with pytest.raises(ConfigError) as caught:
        parse(text, EdgeFile)
    return {problem.path: (problem.message, problem.line) for problem in caught.value.problems}


def test_every_problem_is_told_at_once_with_its_path_and_line() -> None:
    found = problems(
        """\
organisation: ISP A
node: edge-1
workers: -1
listen:
  - {address: 127.0.0.1}
  - {address: 127.0.0.1, port: 70000}
  - address: localhost
access:
  allow: [192.0.2.1/24, 10.0.0.0/8]
  others: shout
profiles:
  - {name: School!, networks: [198.51.100.0/24]}
upstreams: []
forwarding: {first_try: fast, tcp_timeout: 60s}
cache: {size: 1 megabyte}
tcp: {connections: 0}
colour: red
blocklist: {}
"""
    )
    lines = {path: line for path, (_, line) in found.items()}
    assert lines == {
        "organisation": 1, "workers": 3, "listen.1.port": 6, "listen.2.address": 7, "access.allow.0": 9,
        "access.others": 10, "profiles.0.name": 12, "upstreams": 13, "forwarding.first_try": 14,
        "forwarding.tcp_timeout": 14, "cache.size": 15, "tcp.connections": 16, "colour": 17, "blocklist": 18,
    }  # fmt: skip
    assert "host bits set" in found["access.allow.0"][0]
    assert "512KB, 64MB, 1GB" in found["cache.size"][0]
    assert "200ms" in found["forwarding.first_try"][0]
    assert found["blocklist"][0] == "give either `sync` or `snapshot`"


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ("profiles: [{name: default, networks: [10.0.0.0/8]}]", "a name stands once"),
        ("profiles: [{name: a, networks: [10.0.0.0/8]}, {name: a, networks: [10.1.0.0/16]}]", "a name stands once"),
        ("schools: [{name: a, networks: [10.0.0.0/8]}, {name: a, networks: [10.1.0.0/16]}]", "stands twice"),
        ("report: {window: 1500ms}", "report.window: whole seconds"),
        (f"runtime_dir: /{'x' * 80}", "runtime_dir: longer"),
        ("forwarding: {sockets: 1025}", "less than or equal to 1024"),
        (f"profiles: [{', '.join(f'{{name: p{n}, networks: [10.{n}.0.0/16]}}' for n in range(8))}]", "at most 7 items"),
        ("metrics: {address: 127.0.0.1, port: 0}", "greater than or equal to 1"),
        ("sinkhole: {ipv4: '::1'}", "ipv4"),
        ("sinkhole: {ipv6: 192.0.2.1}", "ipv6"),
    ],
)
def test_what_does_not_fit_together_is_refused(more: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        edge(f"{LEAST}{more}\n")


def test_several_contradictions_are_told_together() -> None:
    text = LEAST.replace("[{address: 127.0.0.1}]", "[{address: 127.0.0.1}, {address: 127.0.0.1}]").replace(
        "[{address: 192.0.2.53}]", "[{address: 127.0.0.1}, {address: '::1', port: 5}]"
    )
    [(message, _)] = problems(text + "report: {window: 1.5}\n").values()
    assert "listen: an address and port stand once" in message
    assert "upstreams: 127.0.0.1:53 is listened on here" in message
    assert "report.window" in message


def test_each_protocol_has_its_port_and_a_profile_may_have_no_network_but_a_name_or_a_path() -> None:
    made = edge(ENCRYPTED)
    assert [(listen.protocol, listen.port) for listen in made.file.listen] == [("dns", 53), ("dot", 853), ("doh", 443)]
    assert made.profiles == ("default", "school")
    assert made.file.listen[2].profiles.paths == {"/dns-query/school": "school"}
    assert (made.file.dot.handshake, made.file.doh.idle) == (5.0, 30.0)
    assert edge(ENCRYPTED.replace("protocol: dot", "protocol: dot\n    port: 8853")).file.listen[1].port == 8853


@pytest.mark.parametrize(
    ("change", "path", "match"),
    [
        (
            ("[{name: school}]", "[]"),
            "",
            "listen.1.profiles.server_names.school.dns.example: there is no profile 'school'",
        ),
        (("[{name: school}]", "[]"), "", "listen.2.profiles.paths./dns-query/school: there is no profile"),
        (("[{name: school}]", "[{name: school}, {name: spare}]"), "", "profiles.1: 'spare' has no networks, and no"),
        (
            ("{address: 127.0.0.1}", "{address: 127.0.0.1, tls: {certificate: c, key: k}}"),
            "listen.0",
            "tls: for dot and",
        ),
        (("{address: 127.0.0.1}", "{address: 127.0.0.1, protocol: doh}"), "listen.0", "tls: doh needs a certificate"),
        (("{address: 127.0.0.1}", "{address: 127.0.0.1, profiles: {paths: {/: a}}}"), "listen.0", "profiles: for dot"),
        (("{server_names: {school.dns.example: school}}", "{paths: {/a: school}}"), "listen.1", "dot has server names"),
        (("protocol: dot", "protocol: doq"), "listen.1.protocol", "'dns', 'dot' or 'doh'"),
        (("school.dns.example: school}}", "School.dns.example: school}}"), "listen.1.profiles.server_names", "pattern"),
        (("/dns-query/school: school", "dns-query: school"), "listen.2.profiles.paths", "pattern"),
        (("/dns-query/school: school", "/dns-query%a: school"), "listen.2.profiles.paths", "pattern"),
        (("key: k.pem", "keys: k.pem"), "listen.1.tls.keys", "not permitted"),
        (("protocol: doh", "protocol: doh\n    port: 853"), "", "listen: an address and port stand once"),
    ],
)
def test_what_is_wrong_with_an_encrypted_listener_is_told(change: tuple[str, str], path: str, match: str) -> None:
    found = problems(ENCRYPTED.replace(*change, 1))
    assert any(place.startswith(path) and match in message for place, (message, _) in found.items()), found


def test_upstreams_share_a_bounded_number_of_sockets() -> None:
    upstreams = ", ".join(f"{{address: 192.0.2.{number}}}" for number in range(16))
    text = LEAST.replace("{address: 192.0.2.53}", upstreams)
    assert edge(text).file.forwarding.sockets * 16 == 4096
    with pytest.raises(ConfigError, match="4096 sockets over all upstreams"):
        edge(text + "forwarding: {sockets: 257}\n")


def test_networks_are_bounded_over_all_profiles() -> None:
    # Beyond this the compiled tables refuse them, when the edge is already running.
    school = ", ".join(f"10.{number // 256}.{number % 256}.0/24" for number in range(4000))
    text = f"{LEAST}profiles: [{{name: school, networks: [{school}]}}]\n"
    assert len(edge(text).networks) == 4000 + 9
    allowed = ", ".join(f"172.16.{number}.0/24" for number in range(97))
    with pytest.raises(ConfigError, match="4096 networks"):
        edge(f"{text}access: {{allow: [{allowed}]}}\n")


def test_sizes_and_durations_are_written_with_units() -> None:
    made = edge(
        LEAST + "cache: {size: 2GB, ttl_max: 2h}\ntcp: {idle: 500ms, message: 1.5s}\nreport: {window: 5m}\n"
    ).file
    assert (made.cache.size, made.cache.ttl_max) == (2 << 30, 7200)
    assert (made.tcp.idle, made.tcp.message, made.report.window) == (0.5, 1.5, 300)


def test_paths_are_taken_from_the_files_own_folder(tmp_path: Path) -> None:
    path = tmp_path / "edge.yaml"
    path.write_text(LEAST + "state_dir: state\nruntime_dir: /run/x\n")
    file = read(path).file
    assert (file.state_dir, file.runtime_dir) == (tmp_path / "state", Path("/run/x"))
    assert file.blocklist.snapshot == tmp_path / "rules.snapshot"


def test_a_page_s_name_is_its_own() -> None:
    pages = "pages: {listen: [{address: 192.0.2.80}], operator: A, name: check.isp.example}\n"
    made = edge(LEAST + pages + "local: {name: dns.isp.example}\n").check_page
    assert made is not None
    assert (made.name, made.addresses) == ("check.isp.example", ("192.0.2.80",))
    for name in ("check.isp.example", "dns.check.isp.example"):
        assert "pages.name" in problems(LEAST + pages + f"local: {{name: {name}}}\n")[""][0]
    assert edge().check_page is None
