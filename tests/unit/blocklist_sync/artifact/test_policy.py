from __future__ import annotations

import json

import pytest

from blocklist_sync.artifact import policy
from blocklist_sync.artifact.categories import Action, Category


def test_the_default_comes_back() -> None:
    bundle = policy.default()
    assert policy.parse(bundle.encode()) == bundle
    assert bundle.categories("default") == frozenset()
    assert Category.GAMBLING in bundle.categories("school")
    assert bundle.categories("unheard-of") == frozenset()
    assert bundle.actions[Category.CSAM] is Action.NXDOMAIN
    assert Category.GAMBLING not in bundle.actions, "edges may choose"


def test_actions_left_out_are_nxdomain() -> None:
    document = {"version": 1, "profiles": {"default": ["scam"]}, "actions": {"scam": "null_ip"}}
    bundle = policy.parse(json.dumps(document).encode())
    assert (bundle.action(Category.SCAM), bundle.action(Category.DRUGS)) == (Action.NULL_IP, Action.NXDOMAIN)
    assert set(bundle.actions) == {Category.SCAM}, "what is left out is open"
    assert policy.parse(bundle.encode()) == bundle


def test_every_problem_is_told_with_its_path() -> None:
    document = {
        "version": 2,
        "profiles": {"School!": ["gambling", "piracy", 7], "x": "gambling"},
        "actions": {"piracy": "nodata", "scam": "drop"},
        "extra": 1,
    }
    with pytest.raises(policy.PolicyError) as refused:
        policy.parse(json.dumps(document).encode())
    assert {path for path, _ in refused.value.problems} == {
        "extra",
        "version",
        "profiles",
        "profiles.School!",
        "profiles.School!.1",
        "profiles.School!.2",
        "profiles.x",
        "actions.piracy",
        "actions.scam",
    }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"{",
        b"1",
        b"[" * 100_000,
        b" " * 70_000,
        b'{"version":1,"version":1,"profiles":{"default":[]}}',
    ],
)
def test_what_is_no_bundle(data: bytes) -> None:
    with pytest.raises(policy.PolicyError):
        policy.parse(data)


def test_problems_are_bounded() -> None:
    document = {"version": 1, "profiles": {f"bad name {i}": [] for i in range(1000)}}
    with pytest.raises(policy.PolicyError) as refused:
        policy.parse(json.dumps(document).encode())
    assert len(refused.value.problems) == policy.MAX_PROBLEMS
