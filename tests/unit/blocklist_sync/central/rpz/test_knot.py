"""Knot's configuration, as YAML reads it; that Knot takes it is seen where Knot runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from blocklist_sync.central.rpz.knot import configuration
from blocklist_sync.central.rpz.operators import OperatorsFile, TsigKey

A, B = "lachan.rpz.so.example", "school.rpz.so.example"


def sections(text: str) -> dict[str, dict[str, Any]]:
    """Every item of every section by its id; Knot lets a section come more than once."""
    found: dict[str, dict[str, Any]] = {}
    for part in re.split(r"^(?=[a-z])", text, flags=re.MULTILINE):
        for section, items in (yaml.safe_load(part) or {}).items():
            found.setdefault(section, {}).update({item.get("id", item.get("domain")): item for item in items})
    return found


def configured(*operators: dict[str, Any]) -> dict[str, dict[str, Any]]:
    zones = [{"origin": A, "file": "a.zone"}, {"origin": B, "file": "b.zone"}]
    file = OperatorsFile.model_validate({"storage": Path("/z"), "keys": "/k", "zones": zones, "operators": operators})
    names = [one.key_name(number) for one in file.operators for number in one.keys]
    return sections(configuration(file, {name: TsigKey(name, "c2VjcmV0") for name in names}))


ISP_A = {
    "name": "isp-a",
    "zones": [A, B],
    "addresses": ["192.0.2.0/24", "2001:db8::/32"],
    "notify": ["[2001:db8::53]:53"],
}
ISP_B = {"name": "isp-b", "zones": [A], "addresses": ["198.51.100.1/32"], "keys": [1, 2]}


def test_each_zone_is_for_those_who_take_it() -> None:
    made = configured(ISP_A, ISP_B)
    assert made["zone"][A]["acl"] == ["isp-a", "isp-b"]
    assert made["zone"][B]["acl"] == ["isp-a"]
    assert made["zone"][A]["notify"] == made["zone"][B]["notify"] == ["isp-a-at-0"]
    assert made["remote"]["isp-a-at-0"]["address"] == "2001:db8::53@53"


def test_a_transfer_needs_address_and_key_and_each_key_that_holds_does() -> None:
    made = configured(ISP_A, ISP_B)
    assert made["acl"]["isp-b"] == {
        "id": "isp-b", "address": ["198.51.100.1/32"], "key": ["isp-b-1", "isp-b-2"], "action": "transfer"
    }  # fmt: skip
    assert made["key"].keys() == {"isp-a-1", "isp-b-1", "isp-b-2"}
    assert {key["algorithm"] for key in made["key"].values()} == {"hmac-sha256"}


def test_nobody_else_is_answered() -> None:
    made = configured(ISP_A, ISP_B)
    (who,) = made["mod-queryacl"].values()
    assert who["address"] == ["192.0.2.0/24", "198.51.100.1/32", "2001:db8::/32"]
    (template,) = made["template"].values()
    assert template["module"] == f"mod-queryacl/{who['id']}"
    assert all(zone["template"] == template["id"] for zone in made["zone"].values())
    # Without operators, not everybody.
    (who,) = configured()["mod-queryacl"].values()
    assert who["address"] == ["127.0.0.1/32"]
