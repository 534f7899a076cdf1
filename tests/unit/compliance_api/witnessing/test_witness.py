from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from compliance_api.ledger import submission
from compliance_api.ledger.witness import Witness
from compliance_api.witnessing.witness import PATH, WitnessSettings, application
from lachan import endpoint
from tests.support.ledger import NOON, Parties, forest

PARTIES, WOODS = Parties(), forest(5)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[str, int]]:
    key = PARTIES.witnesses["w1"]
    with (
        Witness.opened(tmp_path, "w1.example/witness", key, [PARTIES.log_key]) as witness,
        endpoint.serve_app("witness", "127.0.0.1", 0, application(witness, lambda: NOON)) as place,
    ):
        yield place


def asked(place: tuple[str, int], method: str, path: str, headers: dict[str, str], body: bytes = b"") -> int:
    connection = http.client.HTTPConnection(*place, timeout=10)
    connection.putrequest(method, path)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def test_a_checkpoint_is_cosigned(place: tuple[str, int]) -> None:
    body = b"old 0\n\n" + PARTIES.head(5, WOODS.root(), {}).encode()
    assert asked(place, "POST", PATH, {"Content-Length": str(len(body))}, body) == 200


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/", {"Content-Length": "0"}, 404),
        ("GET", PATH, {}, 405),
        ("POST", PATH, {}, 411),
        ("POST", PATH, {"Content-Length": "-1"}, 411),
        ("POST", PATH, {"Content-Length": str(submission.MAX_BODY_BYTES + 1)}, 413),
        ("POST", PATH, {"Content-Length": "9" * 5000}, 413),
        ("POST", PATH, {"Content-Length": "0"}, 400),
    ],
)
def test_nothing_else_is_served(
    place: tuple[str, int], method: str, path: str, headers: dict[str, str], status: int
) -> None:
    assert asked(place, method, path, headers) == status


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "a b"}, "name without blanks"),
        ({"logs": []}, "at least 1"),
        ({"logs": ["nothing"]}, "0: not a verifier key"),
        ({"logs": [str(PARTIES.log_key), str(PARTIES.witness_key("w1"))]}, "1: the key of a witness"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    good = {
        "listen": "127.0.0.1:0",
        "name": "w1.example/witness",
        "key": tmp_path / "key.pem",
        "folder": tmp_path,
        "logs": [str(PARTIES.log_key)],
    }
    WitnessSettings.model_validate(good)
    with pytest.raises(ValidationError, match=reason):
        WitnessSettings.model_validate(good | change)
