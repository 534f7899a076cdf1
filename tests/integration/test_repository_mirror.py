"""A working copy of a repository over real HTTPS: complete, bounded, and never led back."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.intake.download import SourceError
from blocklist_sync.central.mirror import Mirror, statement
from blocklist_sync.central.release.repository import MAX_METADATA_BYTES, Repository
from tests.support.list_authority import Handler, ListAuthority, Server


def mirror(authority: ListAuthority, server: Server, folder: Path) -> Mirror:
    context = ssl.create_default_context(cafile=authority.ca_path)
    return Mirror(f"https://localhost:{server.server_address[1]}", folder, context)


def trusted(authority: ListAuthority) -> bytes:
    return (authority.repository / "metadata" / "1.root.json").read_bytes()


def test_a_copy_follows_and_never_goes_back(tmp_path: Path) -> None:
    authority = ListAuthority(tmp_path / "authority")
    authority.publish("a.example")
    shutil.copytree(authority.repository, tmp_path / "old")
    copy = tmp_path / "copy"
    with authority.serve() as server:
        assert mirror(authority, server, copy).update(trusted(authority)).verified(trusted(authority)).listed
        authority.publish("b.example")
        held = mirror(authority, server, copy).update(trusted(authority), history=True)
        assert held.path("list", 1).exists()
        # Deltas are for whoever verifies all of it.
        assert len(list((copy / "targets" / "list").glob("*.delta"))) == 1
        assert held.verified(trusted(authority)).listed == published(authority)
        # What is published now is there, and nothing that only earlier releases named.
        assert len(list((copy / "targets" / "list").glob("*.records.bin"))) == 1
        server.requests.clear()
        mirror(authority, server, copy).update(trusted(authority))
        assert [path for path in server.requests if "targets/" in path] == []
    with authority.serve(tmp_path / "old") as server, pytest.raises(CentralError, match="has seen"):
        mirror(authority, server, copy).update(trusted(authority))
    assert held.verified(trusted(authority)).listed == published(authority)


def test_what_the_public_is_told_is_fetched_as_anybody_fetches_it(tmp_path: Path) -> None:
    authority = ListAuthority(tmp_path / "authority")
    authority.publish("a.example")
    context = ssl.create_default_context(cafile=authority.ca_path)
    with authority.serve() as server:
        url = f"https://localhost:{server.server_address[1]}/public/"
        statement(url, tmp_path / "copy", 1, context)
        with pytest.raises(SourceError):
            statement(url, tmp_path / "copy", 2, context)
    for path in (authority.repository / "public").iterdir():
        assert (tmp_path / "copy" / path.name).read_bytes() == path.read_bytes()


def published(authority: ListAuthority) -> object:
    return Repository(authority.repository).verified(trusted(authority)).listed


def endless(handler: Handler) -> bool:
    handler.send_response(200)
    handler.send_header("Content-Length", str(MAX_METADATA_BYTES + 1))
    handler.end_headers()
    return True


def nothing(handler: Handler) -> bool:
    handler.send_error(404)
    return True


def another(handler: Handler) -> bool:
    data = b'{"signed": {}, "signatures": []}'
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
    return True


@pytest.mark.parametrize(
    ("part", "fault", "kind"),
    [
        ("timestamp.json", endless, SourceError),
        ("timestamp.json", nothing, CentralError),
        ("2.root.json", another, CentralError),
        ("2.list.json", another, CentralError),
        ("records.bin", nothing, SourceError),
        ("records.bin", another, CentralError),
        ("manifest", another, CentralError),
    ],
)
def test_what_is_wrong_is_not_kept(
    tmp_path: Path, part: str, fault: Callable[[Handler], bool], kind: type[Exception]
) -> None:
    authority = ListAuthority(tmp_path / "authority")
    authority.publish("a.example")
    copy = tmp_path / "copy"
    with authority.serve() as server:
        held = mirror(authority, server, copy).update(trusted(authority))
        authority.publish("b.example")
        server.faults[part] = fault
        with pytest.raises(kind):
            mirror(authority, server, copy).update(trusted(authority))
        assert held.verified(trusted(authority)).timestamp is not None
        server.faults.clear()
        listed = mirror(authority, server, copy).update(trusted(authority)).verified(trusted(authority)).listed
        assert listed is not None
        assert listed.signed.version == 2
