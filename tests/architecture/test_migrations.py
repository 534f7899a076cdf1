"""Migrations are one line: two that were written at the same time are put one behind the other before they land."""

from __future__ import annotations

import pytest
from alembic.script import ScriptDirectory

from blocklist_sync.central.registry.schema import SCHEMA as REGISTRY
from compliance_api.storage.migrate import SCHEMA as COMPLIANCE
from lachan.migration import Schema


@pytest.mark.parametrize("schema", [COMPLIANCE, REGISTRY], ids=["compliance", "registry"])
def test_each_migration_follows_the_one_before(schema: Schema) -> None:
    scripts = {path.name for path in (schema.migrations / "versions").glob("[0-9]*.py")}
    numbers = [f"{number:04}" for number in range(1, len(scripts) + 1)]
    assert sorted(name.partition("_")[0] for name in scripts) == numbers
    directory = ScriptDirectory(str(schema.migrations))
    assert [one.revision for one in directory.walk_revisions()][::-1] == numbers
    assert [one.down_revision for one in directory.walk_revisions()][::-1] == [None, *numbers[:-1]]
