from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compliance_api.domain.parties.organisation import OrganisationKind
from compliance_api.settings.parties import load_registry
from lachan.config import ConfigError
from lachan.line import Line
from lachan.signing import SigningKey

LABEL = {"vi": "x", "en": "x"}


def registry_file(folder: Path, **changes: Any) -> Path:
    (folder / "k.pem").write_bytes(SigningKey.generate().public.pem())
    values: dict[str, Any] = {
        "jurisdictions": [{"id": "hcm", "name": LABEL}, {"id": "hanoi", "name": LABEL}],
        "organisations": [
            {
                "id": "so",
                "kind": "authority",
                "name": LABEL,
                "probes": [
                    {
                        "name": "p1",
                        "key": "k.pem",
                        "vantage_point": "v1",
                        "access_network": "n1",
                        "custodian": "so",
                        "line": "school",
                        "operators": ["a"],
                    }
                ],
            },
            {
                "id": "a",
                "kind": "operator",
                "name": LABEL,
                "jurisdictions": ["hcm", "hanoi"],
                "nodes": [
                    {"name": "e1", "key": "k.pem", "resolvers": [{"address": "2001:DB8::1", "transport": "tcp"}]},
                    {"name": "e2", "key": "k.pem", "jurisdictions": ["hanoi"]},
                ],
            },
        ],
    }
    path = folder / "organisations.yaml"
    path.write_text(json.dumps({**values, **changes}))
    return path


def test_the_registry_is_read_with_its_keys(tmp_path: Path) -> None:
    registry = load_registry(registry_file(tmp_path))
    node = registry.node("a", "e1")
    assert node is not None
    assert len(node.key) == 32
    assert node.jurisdictions == {"hcm", "hanoi"}
    assert str(node.endpoints[0]) == "tcp://[2001:db8::1]:53"
    second = registry.node("a", "e2")
    assert second is not None
    assert second.jurisdictions == {"hanoi"}
    probe = registry.probe("so", "p1")
    assert probe is not None
    assert (probe.line, probe.reaches("a"), probe.reaches("b")) == (Line.SCHOOL, True, False)
    assert [one.kind for one in registry.operators()] == [OrganisationKind.OPERATOR]
    assert registry.node("nobody", "e1") is None
    assert registry.node("a", "e3") is None


def test_everything_wrong_with_a_registry_is_named(tmp_path: Path) -> None:
    probe = {"name": "p", "key": "none.pem", "vantage_point": "v", "access_network": "n", "custodian": "ghost"}
    organisations = [
        {"id": "x", "kind": "authority", "name": LABEL, "nodes": [{"name": "n", "key": "k.pem"}]},
        {"id": "x", "kind": "operator", "name": LABEL, "probes": [{**probe, "operators": ["ghost"]}]},
        {"id": "y", "kind": "school", "name": LABEL, "jurisdictions": ["mars"]},
    ]
    with pytest.raises(ConfigError) as refused:
        load_registry(registry_file(tmp_path, organisations=organisations))
    assert sorted(problem.path for problem in refused.value.problems) == [
        "organisations",
        "organisations.0.nodes",
        "organisations.1.jurisdictions",
        "organisations.1.probes.0.custodian",
        "organisations.1.probes.0.key",
        "organisations.1.probes.0.operators",
        "organisations.2.jurisdictions",
    ]
