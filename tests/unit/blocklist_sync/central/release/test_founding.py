"""A repository is founded once, by what is signed to the threshold."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.release.founding import found
from blocklist_sync.central.release.publish import Documents
from tests.support.list_authority import ListAuthority

DAY = 86_400


def test_a_repository_is_founded_before_its_first_release(tmp_path: Path) -> None:
    authority = ListAuthority(tmp_path)
    root, targets = authority.documents.root, authority.documents.targets
    assert root is not None
    assert targets is not None
    now = int(time.time())
    for documents, message in (
        (Documents(root=root), "and nothing else"),
        (Documents(root, Metadata(targets.signed)), "targets: 0 of 2"),
        (Documents(Metadata(root.signed), targets), "root: 0 of 2"),
    ):
        with pytest.raises(CentralError, match=message):
            found(authority.repository, documents, now)
    with pytest.raises(CentralError, match="has not expired"):
        found(authority.repository, authority.documents, now + 400 * DAY)
    found(authority.repository, authority.documents, now)
    with pytest.raises(CentralError, match="founded already"):
        found(authority.repository, authority.documents, now)
    authority.documents = Documents()
    assert authority.publish("a.example").release.serial == 1
