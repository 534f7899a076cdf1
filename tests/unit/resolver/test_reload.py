"""What may change while an edge runs, and that everything else is named."""

from __future__ import annotations

import pytest

from lachan.config import ConfigError, parse
from resolver import reload
from resolver.edgefile import EdgeFile
from resolver.settings import Edge, normalise

LEAST = """
organisation: isp-a
node: edge-1
workers: 2
listen: [{address: 127.0.0.1}, {address: "::1"}]
upstreams: [{address: 192.0.2.53}]
blocklist: {snapshot: rules.snapshot}
profiles: [{name: school, networks: [192.0.2.0/25]}]
"""


def edge(*changes: tuple[str, str]) -> Edge:
    text = LEAST
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return normalise(parse(text, EdgeFile))


def more(line: str) -> tuple[str, str]:
    return "workers: 2", f"workers: 2\n{line}"


@pytest.mark.parametrize(
    "change",
    [
        ("192.0.2.53", "192.0.2.54"),
        ("192.0.2.0/25", "198.51.100.0/24"),
        ("profiles: [", "profiles: ["),
        ("/25]}]", "/25]}, {name: home, networks: [192.0.2.128/25]}]"),
        ('{address: 127.0.0.1}, {address: "::1"}', '{address: "::1"}, {address: 127.0.0.1}'),
        more("access: {others: drop}"),
        more("rate_limit: {queries_per_second: 7}"),
        more("cache: {ttl_max: 1h}"),
        more("processes: {stalled: 1s}"),
    ],
)
def test_what_only_workers_use_may_change(change: tuple[str, str]) -> None:
    reload.check(edge(), edge(change), "edge.yaml")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (("isp-a", "isp-b"), "organisation"),
        (("edge-1", "edge-2"), "node"),
        (("workers: 2", "workers: 3"), "workers"),
        (("::1", "::2"), "listen"),
        (("127.0.0.1}", "127.0.0.1, port: 5353}"), "listen"),
        (("rules.snapshot", "other.snapshot"), "blocklist.snapshot"),
        (("{snapshot", "{shadow: true, snapshot"), "blocklist.shadow"),
        (("name: school", "name: college"), "profiles"),
        (("profiles: [", "profiles: [{name: first, networks: [192.0.2.200/32]}, "), "profiles"),
        (more("user: nobody"), "user"),
        (more("state_dir: /srv/lachan"), "state_dir"),
        (more("runtime_dir: /run/other"), "runtime_dir"),
        (more("cache: {size: 128MB}"), "cache.size"),
        (more("rate_limit: {prefixes: 2048}"), "rate_limit.prefixes"),
        (more("report: {window: 60s}"), "report"),
        (more("metrics: {}"), "metrics"),
    ],
)
def test_what_the_supervisor_is_built_on_needs_a_restart(change: tuple[str, str], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        reload.check(edge(), edge(change), "edge.yaml")
    assert [problem.path for problem in caught.value.problems] == [path]
    assert f"edge.yaml: {path}: " in str(caught.value)
    assert "restart" in str(caught.value)


def test_everything_that_needs_a_restart_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        reload.check(edge(), edge(("workers: 2", "workers: 1"), ("isp-a", "isp-b")), "edge.yaml")
    assert [problem.path for problem in caught.value.problems] == ["organisation", "workers"]
