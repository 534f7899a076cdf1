"""Files as networkd, resolved, NetworkManager, dhclient and pppd leave them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compliance_api.probe.handed import MAX_RESOLVERS, Handed, dhclient, find, networkd, resolv_conf
from compliance_api.probe.settings import HandedSettings

RESOLVED = """\
# This is /run/systemd/resolve/resolv.conf managed by man:systemd-resolved(8).
nameserver 192.0.2.53
nameserver 2001:db8::53
nameserver fe80::1%eth0
nameserver 192.0.2.53
nameserver resolver.example
search line.example
"""
STUB = "nameserver 127.0.0.53\noptions edns0 trust-ad\n"
NETWORKD = """\
# This is private data. Do not parse.
ADDRESS=198.51.100.9
ROUTER=198.51.100.1
DNS=198.51.100.53 198.51.100.54
LIFETIME=3600
"""
DHCLIENT = """\
lease {
  interface "eth0";
  fixed-address 203.0.113.7;
  option domain-name-servers 203.0.113.1;
  expire 4 2026/11/20 10:00:00;
}
lease {
  interface "eth0";
  option domain-name-servers 203.0.113.53, 203.0.113.54;
  renew 5 2026/11/27 03:11:04;
  expire 5 2026/11/27 10:00:00;
}
lease {
  interface "wlan0";
  option domain-name-servers 192.0.2.99;
  expire epoch 1700000000; # Tue Nov 14 22:13:20 2023
}
lease6 {
  interface "eth0.6";
  ia-na 1:2:3:4 {
    iaaddr 2001:db8::7 { preferred-life 3600; }
  }
  option dhcp6.name-servers 2001:db8::53;
}
"""
NOW = 1_795_000_000.0  # 2026-11-18


def test_the_servers_of_resolv_conf_without_stubs_and_names() -> None:
    assert resolv_conf(RESOLVED) == ["192.0.2.53", "2001:db8::53", "fe80::1%eth0"]
    assert resolv_conf(STUB) == []
    assert resolv_conf("nameserver\n\0garbage nameserver 192.0.2.1\nnameserver ::1\nnameserver 0.0.0.0\n") == []


def test_the_servers_of_a_lease_of_networkd() -> None:
    assert networkd(NETWORKD) == ["198.51.100.53", "198.51.100.54"]
    assert networkd("NTP=192.0.2.1\nDNS=\n") == []


def test_the_last_lease_of_each_interface_counts_as_long_as_it_runs() -> None:
    assert dhclient(DHCLIENT, NOW) == ["203.0.113.53", "203.0.113.54", "2001:db8::53"]
    assert dhclient(DHCLIENT, NOW + 30 * 86400) == ["2001:db8::53"]
    assert dhclient("lease { expire 5 2026/99/99 10:00:00; option domain-name-servers 192.0.2.1; }", NOW) == []


def place(folder: Path, kind: str, name: str, text: str = "") -> HandedSettings:
    path = folder / name
    if text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return HandedSettings.model_validate({"kind": kind, "path": path})


def test_the_first_source_that_names_any_counts(tmp_path: Path) -> None:
    stub = place(tmp_path, "resolv.conf", "stub", STUB)
    absent = place(tmp_path, "networkd", "absent")
    lease = place(tmp_path, "dhclient", "dhclient.leases", DHCLIENT)
    resolved = place(tmp_path, "resolv.conf", "resolved", RESOLVED)
    assert find([stub, absent, lease, resolved], NOW) == Handed(
        ("203.0.113.53", "203.0.113.54", "2001:db8::53"), f"dhclient {lease.path}"
    )
    assert find([resolved, lease], NOW).resolvers[0] == "192.0.2.53"
    assert find([stub, absent], NOW) == Handed()


def test_folders_of_leases_are_read_newest_first(tmp_path: Path) -> None:
    own = place(tmp_path, "networkmanager", "nm/internal-1-eth0.lease", NETWORKD).path
    other = place(tmp_path, "networkmanager", "nm/dhclient-2-wlan0.lease", DHCLIENT).path
    place(tmp_path, "networkmanager", "nm/secret_key", "DNS=192.0.2.66\n")
    os.utime(own, (1, 1))
    os.utime(other, (2, 2))
    folder = place(tmp_path, "networkmanager", "nm")
    assert find([folder], NOW).resolvers == (
        "203.0.113.53",
        "203.0.113.54",
        "2001:db8::53",
        "198.51.100.53",
        "198.51.100.54",
    )
    links = place(tmp_path, "networkd", "netif/3", NETWORKD).path.parent
    assert find([HandedSettings(kind="networkd", path=links)], NOW).resolvers == ("198.51.100.53", "198.51.100.54")


@pytest.mark.parametrize("kind", ["resolv.conf", "dhclient", "networkd", "networkmanager"])
def test_whatever_stands_there_is_survived_and_bounded(tmp_path: Path, kind: str) -> None:
    junk = place(tmp_path, kind, "junk.lease", "x")
    junk.path.write_bytes(bytes(range(256)) * 4096 + b"lease {" * 10_000)
    assert find([junk], NOW) == Handed()
    many = place(tmp_path, "resolv.conf", "many", "".join(f"nameserver 192.0.2.{n}\n" for n in range(1, 200)))
    assert len(find([many], NOW).resolvers) == MAX_RESOLVERS
