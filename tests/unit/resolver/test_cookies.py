"""Where the secrets of cookies come from: a file that all members share, or this machine alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.cookies import PERIOD_SECONDS, CookieError, CookieSettings, derived_secrets, make, read_secrets

OLD, NEW = "0" * 31 + "1", "ABCDEF" + "0" * 26


def secret_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "cookie.secrets"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_file_holds_a_secret_a_line(tmp_path: Path) -> None:
    path = secret_file(tmp_path, f"# since spring\n{NEW}\n\n  {OLD}\n", 0o640)
    assert read_secrets(path) == (bytes.fromhex(NEW), bytes.fromhex(OLD))


@pytest.mark.parametrize(
    ("text", "mode", "complaint"),
    [
        ("", 0o600, "0 secrets"),
        (f"{OLD}\n" * 4, 0o600, "4 secrets"),
        (f"{OLD}\nsecret\n{NEW}0\n", 0o600, "line 2, line 3"),
        (OLD, 0o604, "chmod"),
        ("\xff" * 32, 0o600, "line 1"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, mode: int, complaint: str) -> None:
    with pytest.raises(CookieError, match=complaint) as caught:
        read_secrets(secret_file(tmp_path, text, mode))
    assert OLD not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CookieError, match="nowhere"):
        read_secrets(tmp_path / "nowhere")


def test_a_machine_alone_changes_its_secret_by_itself() -> None:
    this = derived_secrets(b"master", PERIOD_SECONDS * 100 + 5)
    after = derived_secrets(b"master", PERIOD_SECONDS * 101 + 5)
    assert this == derived_secrets(b"master", PERIOD_SECONDS * 101 - 1)
    assert after[1] == this[0]
    assert len({*this, *after, *derived_secrets(b"another", PERIOD_SECONDS * 100)}) == 5
    assert {len(secret) for secret in this} == {16}


def test_cookies_are_made_as_configured(tmp_path: Path) -> None:
    assert make(CookieSettings(enabled=False), b"master", 0) is None
    assert make(CookieSettings(), b"master", 0) is not None
    assert make(CookieSettings(secret_file=secret_file(tmp_path, NEW)), b"master", 0) is not None
    with pytest.raises(CookieError):
        make(CookieSettings(secret_file=tmp_path / "nowhere"), b"master", 0)
