from __future__ import annotations

from dataclasses import replace

from blocklist_sync.artifact import policy
from blocklist_sync.artifact.categories import Action, Category
from blocklist_sync.central.release.policies import differences

DEFAULT = policy.default()


def test_the_same_bundle_differs_in_nothing() -> None:
    assert list(differences(DEFAULT, policy.parse(DEFAULT.encode()))) == []


def test_every_change_is_said() -> None:
    profiles = {
        "default": frozenset({Category.SCAM}),
        "school": DEFAULT.profiles["school"] - {Category.GAMBLING, Category.DRUGS} | {Category.CSAM},
        "library": frozenset(),
    }
    actions = {**DEFAULT.actions, Category.SCAM: Action.REFUSED, Category.CSAM: Action.NODATA}
    del actions[Category.SEXUAL_EXPLOITATION]
    changed = replace(DEFAULT, profiles=profiles, actions=actions)
    assert list(differences(DEFAULT, changed)) == [
        "profile default asks for scam",
        "profile library comes: nothing beyond what is mandated",
        "profile school asks for csam, no longer for gambling, drugs",
        "csam is answered by nodata, no longer by nxdomain",
        "sexual_exploitation is answered as each edge chooses, no longer by nxdomain",
        "scam is answered by refused, no longer as each edge chooses",
    ]
    assert "profile library goes: nothing beyond what is mandated" in list(differences(changed, DEFAULT))
