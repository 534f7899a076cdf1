"""What must not stand in a committed file: real names and addresses, this or that machine's paths, promises, secrets.

Holds always: whoever reads an example, a test or a list meets no real site and nobody's address (RFC 2606, 5737, 3849),
but those in `PUBLIC`, each there for a reason.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from tests.architecture.tree import generated, text, tracked

LISTS = PurePosixPath("deploy/demo/lists")
# Names that must never be blocked are real, or they would protect nobody.
NEVER_BLOCKED = PurePosixPath("blocklist_sync/central/rails/neverblock.yaml")
RESERVED = ("example", "test", "invalid", "localhost", "example.com", "example.net", "example.org")

# Real names that may stand here: the name (what is below it too), and why.
PUBLIC = {
    "apache.org": "the licence's address",
    "w3.org": "the namespace of SVG",
    "keepachangelog.com": "the form of the change log",
    "semver.org": "the form of its numbers",
    "github.io": "a public suffix of the private section",
    "duckdns.org": "a public suffix of the private section",
    "co.uk": "a public suffix",
    "gov.vn": "a public suffix: the state's names",
    "com.vn": "a public suffix",
    "公司.cn": "a public suffix in Unicode",
    "xn--55qx5d.cn": "the same in A-labels",
    "ví-dụ.vn": "`example` in Vietnamese: a name with tone marks",
    "xn--v-d-rma6749a.vn": "the same in A-labels",
    "use-application-dns.net": "by which browsers ask whether they may use DoH",
    "icloud.com": "by which devices ask whether they may use a relay",
    "google.com": "SafeSearch: aliases for schools",
    "bing.com": "SafeSearch",
    "duckduckgo.com": "SafeSearch",
    "youtube.com": "SafeSearch",
    "youtube-nocookie.com": "SafeSearch",
    "googleapis.com": "SafeSearch: what YouTube's programs ask",
}

# Ends of names that are written about, without those that are words of a program too (`name`, `id`, `py`).
ENDS = (
    "com|net|org|info|biz|vn|edu|gov|int|mil|io|co|me|tv|cc|ws|pw|cn|ru|su|ua|uk|de|fr|nl|jp|kr|hk|tw|sg|th|la|eu|us|au"
    "|br|xyz|top|club|online|site|shop|live|vip|win|bet|casino|porn|sex|xxx|adult|dating|games|poker|loan|icu|tk|ml|ga"
    "|cf|gq|dev"
)
NAME = re.compile(rf"(?<![\w.@$%-])(?:[\w-]+\.)+(?:{ENDS})(?![\w(-]|\.\w)", re.IGNORECASE)
# Four numbers behind an RFC are a section.
ADDRESS = re.compile(r"(?<![\w.])(?<!RFC \d{4} )\d{1,3}(?:\.\d{1,3}){3}(?!\d|[\w.]\d|\.in-addr)")
DOCUMENTED = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
    )
]  # fmt: skip

# Right beside a network of these, where tests of its mask need an address just outside.
BESIDE = {"9.255.255.255", "11.0.0.0", "128.0.0.1", "192.0.3.7"}

# Each pattern is written so that it does not find itself.
FORBIDDEN = {
    "a path of one machine": re.compile(r"/(?:work|root)/|/(?:home|Users)/[a-z]"),
    "a promise in place of work": re.compile(r"\b(?:TO[D]O|FIX[M]E|XX[X])\b"),
    "a place to install from": re.compile(
        r"(?<!no-emit-)(?:index-ur[l]|find-link[s])|pythonhoste[d]|pypi\.or[g]/simple|registry\.np[m]", re.IGNORECASE
    ),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KE[Y]"),
}


def lines(only: str = "") -> Iterator[tuple[PurePosixPath, int, str]]:
    """Every line of every hand-written text file."""
    for path in tracked():
        if generated(path) or not path.is_relative_to(only):
            continue
        for number, line in enumerate(text(path).splitlines(), 1):
            yield path, number, line


def below(name: str, suffixes: object) -> bool:
    assert hasattr(suffixes, "__iter__")
    return any(name == suffix or name.endswith(f".{suffix}") for suffix in suffixes)


def is_documented(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return True  # four numbers, no address
    return address in BESIDE or any(ip in network for network in DOCUMENTED)


def test_no_file_holds_what_belongs_to_one_machine_or_to_nobody() -> None:
    found = [
        f"{path}:{number}: {what}: {match[0]}"
        for path, number, line in lines()
        for what, pattern in FORBIDDEN.items()
        if (match := pattern.search(line))
    ]
    assert found == []


def test_examples_name_nobody() -> None:
    found = [
        f"{path}:{number}: {match[0]}"
        for path, number, line in lines()
        if path.parts[0] != "lock" and path != NEVER_BLOCKED
        for match in NAME.finditer(line)
        if not below(match[0].lower(), RESERVED) and not below(match[0].lower(), PUBLIC)
    ]
    assert found == []


def test_examples_use_documentation_addresses() -> None:
    found = [
        f"{path}:{number}: {match[0]}"
        for path, number, line in lines()
        # A file about an RFC names its sections.
        if path.parts[0] != "lock" and not path.name.startswith("rfc")
        for match in ADDRESS.finditer(line)
        if not is_documented(match[0])
    ]
    assert found == []


def test_the_demo_lists_hold_reserved_names_only() -> None:
    comment = re.compile(r"^\s*[#!].*|\[Adblock.*|(?<=\s)#.*")
    word = re.compile(r"(?:[\w-]+\.)+[\w-]*[^\W\d][\w-]*")
    found = [
        f"{path}:{number}: {match[0]}"
        for path, number, line in lines(str(LISTS))
        for match in word.finditer(comment.sub("", line))
        if not below(match[0].lower(), RESERVED)
    ]
    assert found == []


def test_a_public_name_stands_somewhere() -> None:
    everything = "\n".join(
        text(path).lower() for path in tracked() if path.name != "test_words.py" and path.parts[0] != "lock"
    )
    assert [name for name in PUBLIC if name not in everything] == []
