"""Files of TLS that a configuration names: every problem at once, each with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lachan.config import ConfigError
from resolver.check import check
from resolver.edgefile import EdgeFile
from resolver.settings import Edge, normalise
from tests.support.tls import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path)
    made.issue()
    made.ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return made


def edge(authority: Authority, upstreams: list[dict[str, Any]]) -> Edge:
    listen = {"address": "127.0.0.1", "protocol": "dot", "tls": authority.files.model_dump()}
    return normalise(
        EdgeFile.model_validate(
            {
                "organisation": "a", "node": "edge-1", "listen": [listen], "upstreams": upstreams,
                "blocklist": {"snapshot": "rules.snapshot"},
            }
        )
    )  # fmt: skip


def dot(ca: Path | None, host: int = 1) -> dict[str, Any]:
    return {"address": f"192.0.2.{host}", "protocol": "dot"} | ({} if ca is None else {"ca": ca})


def test_files_that_can_be_used_are_good(authority: Authority) -> None:
    check(edge(authority, [{"address": "192.0.2.1"}, dot(None), dot(authority.folder / "ca.pem", 2)]), "edge.yaml")


def test_every_problem_is_told_with_its_place(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    authority.files.key.write_text("no key")
    with pytest.raises(ConfigError) as raised:
        check(edge(authority, [dot(tmp_path / "missing.pem"), dot(tmp_path / "empty.pem", 2)]), "edge.yaml")
    text = str(raised.value)
    for place in ("listen.0.tls", "upstreams.0.ca", "upstreams.1.ca"):
        assert place in text
    assert "missing.pem: No such file or directory" in text
    assert "empty.pem: not certificates in PEM" in text
