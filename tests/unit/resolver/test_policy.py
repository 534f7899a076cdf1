from __future__ import annotations

from pathlib import Path

import dns.rcode
import pytest

from blocklist_sync.artifact import policy as bundles
from blocklist_sync.artifact._snapshot import Snapshot
from blocklist_sync.artifact.categories import Category
from lachan.config import parse
from resolver._hot.policy import Policy
from resolver.edgefile import EdgeFile
from resolver.policy import compile_policy, standing
from resolver.settings import Edge, normalise
from tests.support.blocklist import OFFER, built, entry
from tests.support.engine import KEY, mapped, rig
from tests.support.packets import error_code, question, read, records

NOON = 1_764_738_000.0
"""Wednesday, 3 December 2025, 12:00 in Ho Chi Minh City."""
ENTRIES = (entry("bad.example"), entry("adult.example", Category.PORNOGRAPHY, order=OFFER))
CONFIGURATION = """
organisation: a
node: edge-1
listen: [{address: 127.0.0.1}]
upstreams: [{address: 192.0.2.1}]
access: {allow: [198.51.100.0/24, 2001:db8::/32], others: %s}
profiles:
  - {name: school, networks: [198.51.100.64/26, 2001:db8:1::/48]}
sinkhole: {ipv4: 203.0.113.80, ipv6: "2001:db8::80"}
blocklist: {snapshot: rules.snapshot, shadow: %s}
"""


def edge(others: str = "refuse", shadow: str = "false") -> Edge:
    return normalise(parse(CONFIGURATION % (others, shadow), EdgeFile, base=Path("/etc/lachan")))


def tables(
    configuration: Edge | None = None, bundle: bundles.PolicyBundle | None = None, *, listed: bool = True
) -> Policy:
    snapshot = Snapshot(built(*ENTRIES)) if listed else None
    own, said = configuration or edge(), bundle or bundles.default()
    return compile_policy(own, standing(own, said, (), NOON), snapshot, 5, KEY)


def verdict(policy: Policy, name: str, client: str, rdtype: str = "A") -> tuple[str, int | None] | None:
    """The response code and extended error for a client; what the list lets pass is refused by RD=0, with 18."""
    answer = rig(policy, upstreams=0).ask(question(name, rdtype, rd=False), client=mapped(client))
    if not answer:
        return None
    message = read(answer)
    return dns.rcode.to_text(message.rcode()), error_code(message)


@pytest.mark.parametrize(
    ("client", "bad", "adult"),
    [
        ("198.51.100.7", ("NXDOMAIN", 16), ("REFUSED", 18)),
        ("198.51.100.70", ("NXDOMAIN", 16), ("NXDOMAIN", 17)),
        ("198.51.100.128", ("NXDOMAIN", 16), ("REFUSED", 18)),
        ("2001:db8:2::1", ("NXDOMAIN", 16), ("REFUSED", 18)),
        ("2001:db8:1::1", ("NXDOMAIN", 16), ("NXDOMAIN", 17)),
    ],
)
def test_the_narrowest_network_gives_the_profile(client: str, bad: tuple[str, int], adult: tuple[str, int]) -> None:
    policy = tables()
    assert policy.profiles == ("default", "school")
    assert (verdict(policy, "bad.example", client), verdict(policy, "adult.example", client)) == (bad, adult)


def test_strangers_are_refused_or_dropped_as_configured() -> None:
    assert verdict(tables(), "bad.example", "203.0.113.9") == ("REFUSED", 18)
    assert verdict(tables(edge(others="drop")), "bad.example", "203.0.113.9") is None


def test_the_bundle_says_how_a_category_is_answered() -> None:
    document = bundles.default().encode().replace(b'"csam": "nxdomain"', b'"gambling": "sinkhole"')
    policy = tables(bundle=bundles.parse(document))
    own = rig(policy, upstreams=0)
    found = {
        rdtype: records(read(own.ask(question("bad.example", rdtype), client=mapped("198.51.100.7"))))
        for rdtype in ("A", "AAAA")
    }
    assert found == {"A": ["bad.example. 10 IN A 203.0.113.80"], "AAAA": ["bad.example. 10 IN AAAA 2001:db8::80"]}


def test_a_profile_that_the_bundle_does_not_know_asks_for_what_the_default_does() -> None:
    text = CONFIGURATION.replace("name: school", "name: library") % ("refuse", "false")
    policy = tables(normalise(parse(text, EdgeFile, base=Path("/etc/lachan"))))
    assert verdict(policy, "adult.example", "198.51.100.70") == ("REFUSED", 18)
    assert verdict(policy, "bad.example", "198.51.100.70") == ("NXDOMAIN", 16)


def test_shadow_mode_lets_pass() -> None:
    assert verdict(tables(edge(shadow="true")), "bad.example", "198.51.100.7") == ("REFUSED", 18)


def test_before_the_first_list_everything_passes() -> None:
    policy = tables(listed=False)
    assert policy.snapshot is None
    assert policy.epoch == 5
    assert verdict(policy, "bad.example", "198.51.100.7") == ("REFUSED", 18)
