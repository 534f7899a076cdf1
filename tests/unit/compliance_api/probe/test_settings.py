from __future__ import annotations

from pathlib import Path

import pytest

from compliance_api.probe.settings import ProbeSettings
from lachan.config import ConfigError, parse

GOOD = """
service: compliance.example:8443
tls: {ca: ca.pem, certificate: certificate.pem, key: key.pem}
line: consumer
signing_key: signing.pem
spool: spool.sqlite
journal: journal.sqlite
"""


def test_paths_start_beside_the_file_and_everything_else_has_a_default() -> None:
    settings = parse(GOOD, ProbeSettings, base=Path("/etc/lachan"))
    assert settings.spool == Path("/etc/lachan/spool.sqlite")
    assert settings.measure.tries == 3
    assert settings.metrics is None


def test_every_error_is_told_at_once() -> None:
    text = GOOD.replace("compliance.example:8443", "compliance.example") + (
        "measure: {tries: 9, timeout: 1}\nuplink: {poll: soon}\nmetrics: '[::1]:99999'\nsurprise: 1\n"
    )
    with pytest.raises(ConfigError) as caught:
        parse(text, ProbeSettings)
    assert {problem.path for problem in caught.value.problems} == {
        "service",
        "measure.tries",
        "uplink.poll",
        "metrics",
        "surprise",
    }
