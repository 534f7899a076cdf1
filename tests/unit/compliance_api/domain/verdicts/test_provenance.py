from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

from compliance_api.domain.verdicts.provenance import PACKAGE, digest, made_with


def test_any_change_of_what_decides_shows_under_the_same_version_number(tmp_path: Path) -> None:
    with resources.as_file(resources.files(PACKAGE)) as sources:
        copy = Path(shutil.copytree(sources, tmp_path / "elsewhere"))
    told = made_with()["domain_sha256"]
    assert digest(copy) == told
    (copy / "verdicts" / "notes.txt").write_text("no code")
    assert digest(copy) == told
    changed = copy / "statistics" / "eprocess.py"
    changed.write_text(changed.read_text().replace("UNIT = 10**12", "UNIT = 10**11"))
    assert digest(copy) != told
    changed.rename(copy / "eprocess.py")
    assert len({told, digest(copy), digest(copy / "verdicts")}) == 3
