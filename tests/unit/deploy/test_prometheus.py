"""Rules for Prometheus speak of metrics that there are, by labels that they have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from blocklist_sync.central.serving.metrics import Metrics
from blocklist_sync.edge.freshness import Alarm, SyncState
from lachan.spool import Stats
from resolver import metrics as edge
from resolver.auditor import LedgerStatus
from resolver.counters import WindowCounts
from resolver.rpzlog import metrics as hits
from resolver.rpzlog.tally import Window
from resolver.uplink import UplinkStatus

RULES = sorted((Path(__file__).parents[3] / "deploy" / "prometheus").glob("*.yaml"))
SPOOL = Stats(1, 1, 0, 0, 0.0)
UPLINK = UplinkStatus(last_success_at=0.0, ledger=LedgerStatus())
EDGE = edge.Snapshot(
    1.0,
    WindowCounts(0, 300, {}, {}, {}, 0, 0),
    1,
    serial=1,
    sync=SyncState(serial=1),
    spool=SPOOL,
    uplink=UPLINK,
    certificate_ends=1.0,
)
HITS = hits.Snapshot(
    now=1.0,
    seen=Window(Counter({(4, 1): 1})),
    sync=SyncState(serial=1),
    serial_asked_at=1,
    spool=SPOOL,
    uplink=UPLINK,
    certificate_ends=1.0,
)
# Of these the annotations may speak as well: Prometheus gives them.
GIVEN = {"instance", "job"}


def rules() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                yield group["name"], rule


def exposed(made: CollectorRegistry) -> dict[str, set[str]]:
    return {
        sample.name: set(sample.labels)
        for family in made.collect()
        for sample in family.samples
        if sample.name.startswith("lachan_")
    }


OF_HITS = exposed(hits.registry(lambda: HITS))
OF_EDGES = exposed(edge.registry(lambda: EDGE))


def of_list() -> dict[str, set[str]]:
    metrics = Metrics()
    metrics.release(1, 1, {"root": datetime(2026, 1, 1, tzinfo=UTC)})
    metrics.late([("desk", "review")], [])
    return exposed(metrics.registry)


OF_LIST = of_list()
# What edges and hit log agents have in common is called alike.
OF_GROUPS = {"lachan-rpz-hits": [OF_HITS], "lachan-list-authority": [OF_LIST]}


def test_each_rule_has_a_name_of_its_own_and_says_what_is_wrong() -> None:
    found = list(rules())
    names = [rule["alert"] for _, rule in found]
    assert len(names) == len(set(names)) > 10
    for _, rule in found:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"].keys() == {"summary"}
        assert rule["annotations"]["summary"].startswith("{{ $labels.instance }}: ")


@pytest.mark.parametrize(("group", "rule"), [pytest.param(*one, id=one[1]["alert"]) for one in rules()])
def test_a_rule_speaks_of_what_there_is(group: str, rule: Mapping[str, Any]) -> None:
    named = set(re.findall(r"\blachan_\w+", rule["expr"]))
    assert named
    for known in OF_GROUPS.get(group, [OF_HITS, OF_EDGES]):
        assert named <= known.keys()
        labels = set[str]().union(*(known[name] for name in named)) | GIVEN
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= labels
        shown = re.findall(r"(?:without|by|on) \(([^)]*)\)", rule["expr"])
        assert {label.strip() for one in shown for label in one.split(",")} <= labels


def test_every_counter_of_what_a_log_lost_raises_one() -> None:
    named = {name for _, rule in rules() for name in re.findall(r"\blachan_\w+", rule["expr"])}
    assert {name for name in OF_HITS if name.startswith("lachan_rpz_")} <= named


def test_levels_are_those_of_the_alarms() -> None:
    # One series an alarm, told even while all is well: a rule that compares levels misses none of them.
    family = next(one for one in hits.registry(lambda: HITS).collect() if one.name == "lachan_blocklist_alarm_level")
    assert {sample.labels["alarm"] for sample in family.samples} == set(Alarm)
