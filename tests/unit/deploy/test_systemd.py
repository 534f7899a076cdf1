"""The units say what the design relies on, and systemd understands them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from blocklist_sync.central.cli import app
from resolver.control import DESCRIPTORS_MAX
from resolver.edgefile import EdgeFile

ROOT = Path(__file__).parents[3]
SYSTEMD = ROOT / "deploy" / "systemd"
UNITS = sorted(SYSTEMD.glob("*.service"))
# Started by a timer, under the account of a role.
PERIODIC = {"lachan-blocklist-publish": "lachan-blocklist", "lachan-blocklist-sources": "lachan-blocklist"}
# Beside a role's own service, under its account.
BESIDE = {"lachan-blocklist-rpz": "lachan-blocklist"}
# Without a configuration: their options say everything.
BY_OPTIONS = {"lachan-blocklist-publish"}
# Roles that are a verb of another's command.
VERBS = {"lachan-witness": "lachan-compliance"}


def settings(unit: Path) -> dict[str, str]:
    """Directives of a unit; the last one of a name, lists joined."""
    found: dict[str, str] = {}
    for line in unit.read_text().splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found[name] = (
                f"{found[name]} {value}" if name in {"SystemCallFilter", "Wants", "After"} & found.keys() else value
            )
    return found


def test_every_role_has_its_unit_and_its_account() -> None:
    roles = ["blocklist", "compliance", "probe", "resolver", "rpz-hits", "witness"]
    serving = [unit for unit in UNITS if unit.stem not in {*PERIODIC, *BESIDE}]
    assert [unit.stem for unit in serving] == [f"lachan-{role}" for role in roles]
    accounts = re.findall(r"^u (\S+)", (SYSTEMD / "lachan.sysusers.conf").read_text(), re.MULTILINE)
    assert sorted(accounts) == [settings(unit)["User"] for unit in serving]
    for name, role in BESIDE.items():
        assert settings(SYSTEMD / f"{name}.service")["User"] == role
    for name, role in PERIODIC.items():
        assert settings(SYSTEMD / f"{name}.service")["User"] == role
        assert settings(SYSTEMD / f"{name}.service")["Type"] == "oneshot"
        assert settings(SYSTEMD / f"{name}.timer")["WantedBy"] == "timers.target"


def test_dns_survives_the_supervisor() -> None:
    unit = settings(SYSTEMD / "lachan-resolver.service")
    assert unit["Type"] == "notify"
    assert unit["NotifyAccess"] == "main"
    # Workers are not signalled with the supervisor, and their sockets outlive it.
    assert unit["KillMode"] == "process"
    assert int(unit["FileDescriptorStoreMax"]) >= DESCRIPTORS_MAX
    assert unit["RuntimeDirectoryPreserve"] == "restart"
    assert unit["Restart"] == "always"
    assert unit["StartLimitIntervalSec"] == "0"


def test_a_reload_waits_for_its_outcome() -> None:
    unit = settings(SYSTEMD / "lachan-resolver.service")
    assert unit["ExecReload"] == unit["ExecStart"].removesuffix(" --log json").replace(" serve ", " reload ")


def test_the_resolver_may_bind_port_53_and_nothing_more() -> None:
    unit = settings(SYSTEMD / "lachan-resolver.service")
    assert unit["AmbientCapabilities"] == unit["CapabilityBoundingSet"] == "CAP_NET_BIND_SERVICE"


def test_the_resolver_may_read_its_clock() -> None:
    # Every report tells whether the clock is disciplined (adjtimex); ProtectClock would deny that as well.
    unit = settings(SYSTEMD / "lachan-resolver.service")
    assert "ProtectClock" not in unit
    assert {"adjtimex", "clock_adjtime"} <= set(unit["SystemCallFilter"].split())


def test_folders_are_those_of_the_defaults() -> None:
    unit = settings(SYSTEMD / "lachan-resolver.service")
    assert f"/var/lib/{unit['StateDirectory']}" == str(EdgeFile.model_fields["state_dir"].default)
    assert f"/run/{unit['RuntimeDirectory']}" == str(EdgeFile.model_fields["runtime_dir"].default)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_role_is_kept_small(unit: Path) -> None:
    found = settings(unit)
    assert found["User"] != "root"
    assert found["NoNewPrivileges"] == "yes"
    assert found["ProtectSystem"] == "strict"
    assert found["MemoryDenyWriteExecute"] == "yes"
    assert found["UMask"] == "0077"
    assert found["SystemCallFilter"].split()[0] == "@system-service"
    assert found["CapabilityBoundingSet"] in {"", "CAP_NET_BIND_SERVICE"}


CONFIGURED = [unit for unit in UNITS if unit.stem not in {*BESIDE, *BY_OPTIONS}]


@pytest.mark.parametrize("unit", CONFIGURED, ids=lambda unit: unit.stem)
def test_what_is_started_is_a_command_with_an_example(unit: Path) -> None:
    program, *verbs, option, config = settings(unit)["ExecStart"].removesuffix(" --log json").split()
    assert program == f"/opt/lachan/bin/{(PERIODIC | VERBS).get(unit.stem, unit.stem)}"
    assert verbs in (["serve"], ["run"], ["witness"], ["source", "run", "--due"])
    assert option == "--config"
    assert (ROOT / "deploy" / "examples" / Path(config).name).exists()


@pytest.mark.parametrize("verb", ["rpz", "publish"])
def test_a_verb_is_started_with_options_that_it_takes(verb: str) -> None:
    program, started, *options = settings(SYSTEMD / f"lachan-blocklist-{verb}.service")["ExecStart"].split()
    assert (program, started) == ("/opt/lachan/bin/lachan-blocklist", verb)
    told = CliRunner().invoke(app, [verb, "--help"]).stdout
    assert {option for option in options if option.startswith("--")} <= set(re.findall(r"--[a-z-]+", told))


def test_online_keys_are_this_units_alone() -> None:
    """Each file that is named comes from the credentials, and what signs for a day runs every hour."""
    found = settings(SYSTEMD / "lachan-blocklist-publish.service")
    loaded = re.findall(
        r"^LoadCredential=([a-z.]+):", (SYSTEMD / "lachan-blocklist-publish.service").read_text(), re.MULTILINE
    )
    assert (
        set(re.findall(r"%d/(\S+)", found["ExecStart"]))
        == set(loaded)
        == {"snapshot.pem", "timestamp.pem", "passphrase"}
    )
    assert settings(SYSTEMD / "lachan-blocklist-publish.timer")["OnCalendar"] == "hourly"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_understands_them(tmp_path: Path) -> None:
    for unit in UNITS:
        # What is started is not installed where tests run.
        program = tmp_path / (VERBS | BESIDE | PERIODIC).get(unit.stem, unit.stem)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/lachan/bin/", f"{tmp_path}/"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / unit.name) for unit in UNITS)],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (verified.returncode, verified.stderr) == (0, "")
