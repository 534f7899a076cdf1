from __future__ import annotations

from blocklist_sync.artifact import categories
from lachan.compliance.v1 import report_pb2


def test_numbers_are_the_protocols() -> None:
    theirs = {name.removeprefix("CATEGORY_"): number for name, number in report_pb2.Category.items() if number}
    assert {category.name: int(category) for category in categories.Category} == theirs


def test_actions_are_the_protocols_without_shadow() -> None:
    theirs = {name.removeprefix("ACTION_"): number for name, number in report_pb2.Action.items() if number}
    assert {action.name: int(action) for action in categories.Action} | {"SHADOW": report_pb2.ACTION_SHADOW} == theirs
