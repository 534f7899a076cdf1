from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.central.serving.settings import ListSettings
from compliance_api.domain.law.law import LawBook
from compliance_api.probe.settings import ProbeSettings
from compliance_api.settings.parties import load_registry
from compliance_api.settings.service import ServiceSettings
from compliance_api.settings.texts import load_law
from deploy.demo.liar import LiarSettings
from deploy.demo.place import OPERATORS, PROBES, ROOT, Place, PlaceError
from deploy.demo.ports import Ports
from deploy.demo.traffic import TrafficSettings
from lachan import config
from lachan.signing import SigningKey
from resolver import settings as edges

LAW = ROOT / "deploy" / "demo" / "law.yaml"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path / "demo", Ports(10053), cheating=True)
    place.clear()
    (place.folder / "pki").mkdir()
    for party in (*OPERATORS, *PROBES):
        place.public_key(party).write_bytes(SigningKey.generate().public.pem())
    place.write()
    return place


def test_every_file_is_what_its_reader_expects(place: Place) -> None:
    lists = config.load(place.config("list"), ListSettings)
    service = config.load(place.config("compliance"), ServiceSettings)
    registry = load_registry(service.registry)
    law = load_law(service.law, registry)
    assert service.list_authority.target == lists.grpc.listen if lists.grpc else ""
    assert [one.identifier for one in registry.operators()] == ["a", "b"]
    assert law.laws[0].report.window == 5
    for probe in PROBES:
        assert config.load(place.config(probe), ProbeSettings).service == service.listen
    traffic = config.load(place.config("traffic"), TrafficSettings)
    for operator in OPERATORS:
        edge = edges.read(place.config(operator))
        assert edge.window_seconds == law.laws[0].report.window
        assert edge.file.listen[0].port == traffic.resolvers[operator]


def test_probes_are_independent_of_each_other(place: Place) -> None:
    registry = load_registry(place.config("registry"))
    probes = [probe for organisation in registry.organisations for probe in organisation.probes]
    assert len({probe.vantage_point for probe in probes}) == 2
    assert len({probe.access_network for probe in probes}) == 2
    assert len({probe.custodian for probe in probes}) == 2


def test_the_cheat_is_configuration_alone(place: Place, tmp_path: Path) -> None:
    honest, cheat = (edges.read(place.config(operator)).file for operator in OPERATORS)
    assert honest.report.uplink is not None
    assert cheat.report.uplink is None
    assert honest.blocklist.sync is not None
    assert cheat.blocklist.sync is not None
    assert cheat.blocklist.sync.poll_interval == 86_400
    assert config.load(place.config("liar"), LiarSettings).spool == place.folder / "b" / "reports.spool"

    other = Place(tmp_path / "other", Ports(10053), cheating=False)
    other.clear()
    other.write()
    assert not other.config("liar").exists()
    assert edges.read(other.config("b")).file.report.uplink is not None


def test_the_law_wants_more_than_one_eye() -> None:
    law = config.load(LAW, LawBook).laws[0]
    assert law.confirmation.vantage_points >= 2
    assert law.confirmation.custodians >= 2
    assert law.minimum.missed_names >= 4


def test_an_earlier_demo_is_wiped(place: Place) -> None:
    (place.folder / "left").touch()
    place.clear()
    assert not (place.folder / "left").exists()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("three years")
    with pytest.raises(PlaceError, match="no demo's"):
        Place(tmp_path / "work", Ports(10053), cheating=True).clear()
    assert (tmp_path / "work" / "thesis.txt").exists()


def test_a_long_path_does_not_reach_the_sockets(tmp_path: Path) -> None:
    place = Place(tmp_path / ("long-" * 20), Ports(10053), cheating=True)
    place.clear()
    assert len(str(place.runtime("a"))) <= 80
    assert place.runtime("a").parent.is_dir()
    place.leave()
    assert not place.runtime("a").parent.exists()
