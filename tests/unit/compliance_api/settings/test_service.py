from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compliance_api.domain.parties.organisation import Transport
from compliance_api.settings.service import ServiceSettings
from lachan import config
from lachan.config import ConfigError


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
