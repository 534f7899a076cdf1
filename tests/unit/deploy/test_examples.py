"""Every example is loaded as the service that it is for would load it, and speaks of what the others speak of."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from blocklist_sync.artifact import policy
from blocklist_sync.artifact.categories import ALWAYS_MANDATED
from blocklist_sync.central.intake.sources import SourcesSettings
from blocklist_sync.central.rails.rails import RailSettings
from blocklist_sync.central.registry.client import PersonSettings
from blocklist_sync.central.registry.ownership import OwnerSettings
from blocklist_sync.central.rpz.operators import OperatorsFile
from blocklist_sync.central.serving.settings import ListSettings
from compliance_api.probe.settings import ProbeSettings
from compliance_api.settings.parties import load_registry
from compliance_api.settings.service import ServiceSettings
from compliance_api.settings.texts import load_law, load_shapes
from compliance_api.witnessing import witnesses
from compliance_api.witnessing.witness import WitnessSettings
from lachan import config
from lachan.ledger import policy as ledger_policy
from lachan.signing import SigningKey
from resolver import settings as edges
from resolver.rpzlog.settings import HitsFile
from tests.simulate.counters import PAIRS
from tests.support import foreign

EXAMPLES = Path(__file__).parents[3] / "deploy" / "examples"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The examples with the keys that the registry names."""
    shutil.copytree(EXAMPLES, tmp_path, dirs_exist_ok=True)
    (tmp_path / "keys").mkdir()
    for name in re.findall(r"key: (keys/\S+)", (tmp_path / "organisations.yaml").read_text()):
        (tmp_path / name).write_bytes(SigningKey.generate().public.pem())
    for name in re.findall(r"roots: (keys/\S+)", (tmp_path / "organisations.yaml").read_text()):
        (tmp_path / name).write_bytes(foreign.root("an operator's own").pem)
    return tmp_path


READERS: dict[str, Callable[[Path], Any]] = {
    "edge.yaml": edges.read,
    "edge-school.yaml": edges.read,
    "list.yaml": lambda path: config.load(path, ListSettings),
    "registry-owner.yaml": lambda path: config.load(path, OwnerSettings),
    "person.yaml": lambda path: config.load(path, PersonSettings),
    "sources.yaml": lambda path: config.load(path, SourcesSettings),
    "rails.yaml": lambda path: config.load(path, RailSettings),
    "policy.json": lambda path: policy.parse(path.read_bytes()),
    "compliance.yaml": lambda path: config.load(path, ServiceSettings),
    "organisations.yaml": load_registry,
    "law.yaml": lambda path: load_law(path, load_registry(path.with_name("organisations.yaml"))),
    "shapes.yaml": load_shapes,
    "probe.yaml": lambda path: config.load(path, ProbeSettings),
    "ledger-policy.txt": lambda path: ledger_policy.parse(path.read_bytes()),
    "witness.yaml": lambda path: config.load(path, WitnessSettings),
    "rpz-hits.yaml": lambda path: config.load(path, HitsFile),
    "rpz-operators.yaml": lambda path: config.load(path, OperatorsFile),
}


def test_no_example_is_forgotten() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == READERS.keys()


@pytest.mark.parametrize("name", READERS)
def test_an_example_is_loaded_by_its_reader(folder: Path, name: str) -> None:
    assert READERS[name](folder / name)


@pytest.mark.parametrize("name", [name for name in READERS if name.endswith(".yaml")])
def test_what_is_commented_out_could_stand_there(folder: Path, name: str) -> None:
    # A setting that is shown as a comment is a key and a value; a sentence begins with a capital letter.
    path = folder / name
    shown = re.sub(r"^( *)# (?=\s*[a-z_]+: |[a-z_]+:$|  +[a-z_]+: )", r"\1", path.read_text(), flags=re.MULTILINE)
    path.write_text(shown)
    assert READERS[name](path)


def test_the_service_finds_its_registry_and_law_beside_it(folder: Path) -> None:
    service = config.load(folder / "compliance.yaml", ServiceSettings)
    registry = load_registry(service.registry)
    book = load_law(service.law, registry)
    for jurisdiction in registry.jurisdictions:
        assert book.in_force(jurisdiction.identifier, datetime(2026, 8, 1, tzinfo=UTC)).id == "sample-2026"
        assert book.in_force(jurisdiction.identifier, datetime(2026, 6, 30, 16, tzinfo=UTC)).id == "sample-2025"


@pytest.mark.parametrize("name", ["edge.yaml", "edge-school.yaml"])
def test_an_edge_is_in_the_registry_where_probes_find_it(folder: Path, name: str) -> None:
    edge = edges.read(folder / name)
    node = load_registry(folder / "organisations.yaml").node(edge.file.organisation, edge.file.node)
    assert node is not None
    assert {one.address for one in node.endpoints} <= {one.address for one in edge.file.listen}


def test_an_edge_reports_in_the_windows_that_the_law_asks_for(folder: Path) -> None:
    law = load_law(folder / "law.yaml", load_registry(folder / "organisations.yaml")).laws[-1]
    assert edges.read(folder / "edge.yaml").window_seconds == law.report.window


def test_challenges_are_as_many_as_are_simulated(folder: Path) -> None:
    law = load_law(folder / "law.yaml", load_registry(folder / "organisations.yaml")).laws[-1]
    assert law.challenges.pairs_a_day == PAIRS


def test_parties_name_the_same_places(folder: Path) -> None:
    service = yaml.safe_load((folder / "compliance.yaml").read_text())
    lists = yaml.safe_load((folder / "list.yaml").read_text())
    edge = yaml.safe_load((folder / "edge.yaml").read_text())
    probe = yaml.safe_load((folder / "probe.yaml").read_text())
    assert edge["report"]["uplink"]["target"] == probe["service"]
    assert edge["report"]["uplink"]["target"].rpartition(":")[2] == service["listen"].rpartition(":")[2]
    push = edge["blocklist"]["sync"]["push"]
    assert push["target"].rpartition(":")[2] == lists["push"]["listen"].rpartition(":")[2]
    assert service["list_authority"]["target"].rpartition(":")[2] == lists["grpc"]["listen"].rpartition(":")[2]
    person = yaml.safe_load((folder / "person.yaml").read_text())
    assert person["registry"].rpartition(":")[2] == lists["grpc"]["listen"].rpartition(":")[2]


def test_the_ledger_and_its_witnesses_name_the_same_log(folder: Path) -> None:
    believed = ledger_policy.parse((folder / "ledger-policy.txt").read_bytes())
    assert [str(key) for key in believed.logs] == config.load(folder / "witness.yaml", WitnessSettings).logs
    assert believed.addresses.keys() == believed.witnesses.keys()
    for url in believed.addresses.values():
        witnesses.parse(url)
    assert "key: /etc/lachan/ledger.pem" in (folder / "compliance.yaml").read_text()


def test_a_school_asks_for_what_the_bundle_offers(folder: Path) -> None:
    bundle = policy.parse((folder / "policy.json").read_bytes())
    edge = edges.read(folder / "edge-school.yaml")
    # What the bundle does not name is the operator's own, and says what it asks for.
    own = {profile.name for profile in edge.file.profiles if profile.categories}
    assert set(edge.profiles) - own <= bundle.profiles.keys()
    assert set(bundle.actions) >= ALWAYS_MANDATED
    # An action that leads to a block page needs one.
    assert edge.file.sinkhole.ipv4 != "0.0.0.0"


def test_the_rails_shown_are_those_that_hold_without_a_file(folder: Path) -> None:
    shown = config.load(folder / "rails.yaml", RailSettings)
    assert shown.model_copy(update={"never_block": ()}) == RailSettings()
    assert [one.id for one in shown.never_block] == ["here"]
