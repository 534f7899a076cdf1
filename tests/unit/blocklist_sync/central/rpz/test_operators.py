"""Who takes the zones: every mistake named, keys drawn once and kept to themselves."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.rpz.operators import OperatorsFile, key_path, obtain

ZONE = {"origin": "lachan.rpz.so.example", "file": "lachan.zone"}
OPERATOR = {"name": "isp-a", "zones": [ZONE["origin"]], "addresses": ["192.0.2.0/24"], "notify": ["192.0.2.53:53"]}


def read(**changes: Any) -> OperatorsFile:
    """The file with changes to its one operator."""
    whole = {"storage": "/zones", "keys": "/keys", "zones": [ZONE], "operators": [{**OPERATOR, **changes}]}
    return OperatorsFile.model_validate(whole)


def test_a_key_is_drawn_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    drawn = obtain(tmp_path / "keys", "isp-a-1", lambda size: bytes(range(size)))
    assert base64.b64decode(drawn.secret) == bytes(range(32))
    path = key_path(tmp_path / "keys", "isp-a-1")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert obtain(tmp_path / "keys", "isp-a-1") == drawn
    assert obtain(tmp_path / "keys", "isp-a-2") != drawn
    # Whatever prints a key by mistake prints its name.
    assert drawn.secret not in repr(drawn)


@pytest.mark.parametrize(
    "text", ["", 'key "isp-b-1" { algorithm hmac-sha256; secret "' + "A" * 43 + '="; };\n', "x" * 2000]
)
def test_what_is_no_key_of_that_name_is_refused(tmp_path: Path, text: str) -> None:
    path = key_path(tmp_path, "isp-a-1")
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(Exception, match=r"isp-a-1\.key") as raised:
        obtain(tmp_path, "isp-a-1")
    assert "AAAA" not in str(raised.value)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    obtain(tmp_path, "isp-a-1")
    key_path(tmp_path, "isp-a-1").chmod(0o640)
    with pytest.raises(CentralError, match="others may read"):
        obtain(tmp_path, "isp-a-1")


def test_the_last_number_signs_and_all_hold() -> None:
    operator = read(keys=[1, 2]).operators[0]
    assert [operator.key_name(number) for number in operator.keys] == ["isp-a-1", "isp-a-2"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "ISP A"}, {"name": "a\n  secret"}, {"zones": ["other.rpz.so.example"]}, {"addresses": []},
        {"addresses": ["192.0.2.1/24"]}, {"addresses": ["isp.example"]}, {"notify": ["ns.isp.example:53"]},
        {"notify": ["192.0.2.53:0"]}, {"keys": [1, 1]}, {"keys": [0]}, {"keys": []}, {"unknown": 1},
    ],
    ids=str,
)  # fmt: skip
def test_what_could_not_be_configured_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(**wrong)


@pytest.mark.parametrize("file", ["../x", ".hidden", "a b", ""])
def test_a_zone_file_stands_in_the_storage(file: str) -> None:
    with pytest.raises(ValidationError):
        OperatorsFile.model_validate({"storage": "/z", "keys": "/k", "zones": [{**ZONE, "file": file}]})


def test_names_stand_once() -> None:
    whole = {"storage": "/z", "keys": "/k", "zones": [ZONE, ZONE], "operators": [OPERATOR, OPERATOR]}
    with pytest.raises(ValidationError, match="stand once"):
        OperatorsFile.model_validate(whole)
