from __future__ import annotations

from pathlib import Path

import pytest

from compliance_api.nonces.settings import NonceKeyError, NonceSettings


def made(key: Path, zone: str = "N.Authority.test") -> NonceSettings:
    return NonceSettings(zone=zone, key=key, listen="127.0.0.1:53", nameserver="ns.authority.test", address="192.0.2.9")


def test_a_key_is_32_bytes_in_hex(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("ab" * 32 + "\n")
    assert made(key).secret() == b"\xab" * 32
    assert made(key).zone == "n.authority.test"
    for wrong in ("ab" * 31, "zz" * 32, "ß"):
        key.write_text(wrong)
        with pytest.raises(NonceKeyError):
            made(key).secret()


@pytest.mark.parametrize("zone", ["single", "a..b", "x" * 64 + ".test", "ß.test"])
def test_a_zone_is_a_name_below_another(tmp_path: Path, zone: str) -> None:
    with pytest.raises(ValueError, match="zone"):
        made(tmp_path / "key", zone)
