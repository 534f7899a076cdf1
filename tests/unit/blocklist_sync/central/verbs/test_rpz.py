"""The verb: one zone a serial, whole or not at all, and whoever serves it told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from blocklist_sync.central.cli import app
from blocklist_sync.central.errors import CentralError
from tests.support.list_authority import ListAuthority
from tests.support.rpz import ORIGIN, Reader


class Desk:
    """A list authority's folder with a zone beside it."""

    def __init__(self, folder: Path) -> None:
        self.authority = ListAuthority(folder)
        self.out = folder / "zones" / "lachan.zone"
        self.out.parent.mkdir()

    def rpz(self, *options: str) -> dict[str, Any]:
        release = str(self.authority.release.folder)
        arguments = ["rpz", "--release", release, "--out", str(self.out), "--origin", ORIGIN, "--json", *options]
        result = CliRunner().invoke(app, arguments)
        if result.exception is not None:
            raise result.exception
        return json.loads(result.stdout)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_publication_makes_one_zone_and_the_same_again_writes_nothing(desk: Desk) -> None:
    desk.authority.publish("bad.example", "worse.example")
    told = desk.rpz()
    assert (told["serial"], told["owners"], told["written"]) == (1, 4, True)
    assert desk.out.stat().st_mode & 0o777 == 0o640
    first = desk.out.read_bytes()
    assert desk.rpz()["written"] is False
    assert desk.out.read_bytes() == first
    desk.authority.publish("bad.example")
    assert desk.rpz()["serial"] == 2
    reader = Reader(desk.out.read_text())
    assert reader.plain("www.bad.example")
    assert reader.plain("worse.example") is None


def test_other_settings_under_the_same_serial_are_refused(desk: Desk) -> None:
    desk.authority.publish("bad.example")
    desk.rpz()
    before = desk.out.read_bytes()
    with pytest.raises(CentralError, match="next release"):
        desk.rpz("--ttl", "30")
    desk.out.write_bytes(before.replace(b"serial=1 ", b"serial=9 ", 1))
    with pytest.raises(CentralError, match="newer than the published serial 1"):
        desk.rpz()


def test_whoever_serves_the_zone_is_told_without_a_shell(desk: Desk, tmp_path: Path) -> None:
    desk.authority.publish("bad.example")
    told = tmp_path / "told"
    desk.rpz(
        "--reload", f"{sys.executable} -c 'import sys; open(sys.argv[1], \"w\").write(sys.argv[2])' {told} $HOME;x"
    )
    assert told.read_text() == "$HOME;x"


@pytest.mark.parametrize(
    "command", ["/nowhere/knotc zone-reload", "'", "", f"{sys.executable} -c 'raise SystemExit(3)'"]
)
def test_a_reload_that_fails_is_said_and_the_zone_stays(desk: Desk, command: str) -> None:
    desk.authority.publish("bad.example")
    with pytest.raises(CentralError, match="the file is written, but"):
        desk.rpz("--reload", command)
    assert desk.out.exists()
