from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compliance_api.domain.organisation import Line, OrganisationKind, Transport
from compliance_api.settings import ServiceSettings, is_loopback, load_law, load_registry
from lachan import config
from lachan.config import ConfigError
from lachan.signing import SigningKey

LABEL = {"vi": "x", "en": "x"}


def service(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "listen": "127.0.0.1:9443",
        "tls": {"ca": "ca.pem", "certificate": "certificate.pem", "key": "key.pem"},
        "receipt_key": "receipt.pem",
        "database": {"embedded": "db"},
        "list_authority": {"target": "localhost:9444"},
        "registry": "organisations.yaml",
        "law": "law.yaml",
        "assignments": {
            "reference": {"address": "192.0.2.1"},
            "second_reference": {"address": "192.0.2.2"},
            "controls": ["Control.example"],
        },
    }
    return {**values, **changes}


def read(values: dict[str, Any], base: Path | None = None) -> ServiceSettings:
    return config.parse(json.dumps(values), ServiceSettings, "compliance.yaml", base)


def test_the_smallest_configuration_has_sound_defaults() -> None:
    settings = read(service(), Path("/etc/lachan"))
    assert settings.registry == Path("/etc/lachan/organisations.yaml")
    assert settings.assignments.controls == ("control.example",)
    assert settings.assignments.reference.endpoint().transport is Transport.UDP
    assert settings.console is None
    assert settings.judge.interval == 60


@pytest.mark.parametrize(
    "changes",
    [{"listen": "0.0.0.0:9443"}, {"listen": "[2001:db8::1]:9443"}, {"console": {"listen": "192.0.2.7:8080"}}],
)
def test_an_embedded_database_stays_on_this_machine(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="is not on loopback"):
        read(service(**changes))
    read(service(**changes, database={"url": "postgresql://u:p@db.example/compliance"}))


@pytest.mark.parametrize(
    ("database", "message"),
    [
        ({}, "either url or embedded"),
        ({"url": "postgresql://x/y", "embedded": "db"}, "either url or embedded"),
        ({"url": "sqlite:///x"}, "only postgresql"),
        ({"url": "nonsense"}, "not postgresql"),
    ],
)
def test_one_postgresql_is_named(database: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(service(database=database))


def test_a_password_is_not_shown() -> None:
    settings = read(service(database={"url": "postgresql://u:secret@db.example/compliance"}))
    assert "secret" not in repr(settings)


def test_all_problems_come_at_once_with_their_places() -> None:
    with pytest.raises(ConfigError) as refused:
        read(service(listen="nowhere", judge={"interval": "0s"}, law_file="x"))
    assert {problem.path for problem in refused.value.problems} == {"listen", "judge.interval", "law_file"}


def test_loopback_is_recognised() -> None:
    assert all(is_loopback(one) for one in ("127.0.0.1:1", "[::1]:1", "localhost:1", "127.8.8.8:1"))
    assert not any(is_loopback(one) for one in ("0.0.0.0:1", "[::]:1", "db.example:1"))


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


def test_a_law_names_known_places(tmp_path: Path) -> None:
    registry = load_registry(registry_file(tmp_path))
    law = {
        "id": "l",
        "effective_from": "2025-01-01T00:00:00+07:00",
        "authority": LABEL,
        "default_citation": LABEL,
        "jurisdictions": ["hcm"],
    }
    path = tmp_path / "law.yaml"
    path.write_text(json.dumps({"laws": [law]}))
    assert load_law(path, registry).laws[0].id == "l"
    path.write_text(json.dumps({"laws": [{**law, "jurisdictions": ["hcm", "mars"]}]}))
    with pytest.raises(ConfigError, match="mars is not in the registry"):
        load_law(path, registry)
