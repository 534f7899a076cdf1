from __future__ import annotations

from pathlib import Path

import pytest

from lachan.signing import SigningError
from lachan.tls import Identity, Role
from resolver.enrolment import KEY_FILE, enrol, signing_key
from resolver.errors import ResolverError


def test_the_key_is_made_once(tmp_path: Path) -> None:
    first = signing_key(tmp_path)
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert signing_key(tmp_path).public.key_id == first.public.key_id


def test_a_damaged_key_is_said_and_never_replaced(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_bytes(b"")
    with pytest.raises(SigningError, match="not a private key"):
        signing_key(tmp_path)
    assert (tmp_path / KEY_FILE).read_bytes() == b""


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match=r"none/node\.key: No such file or directory"):
        signing_key(tmp_path / "none")


def test_a_node_that_reports_nowhere_has_no_place_for_a_certificate(tmp_path: Path) -> None:
    with pytest.raises(ResolverError, match=r"report\.uplink"):
        enrol(Identity("a", Role.NODE, "e1"), None, tmp_path, None, 0, None)
