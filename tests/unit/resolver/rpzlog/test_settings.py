"""What the agent is told: refused with the path of what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from lachan import config
from resolver.rpzlog.settings import HitsFile

TEXT = """
organisation: isp-a
node: resolver-1
log: {path: rpz.log, form: bind}
zone: {origin: lachan.rpz.so.example, resolver: "127.0.0.1:53"}
sync: {repository: "https://lists.so.example", root: root.json, ca: ca.pem}
"""


def test_what_is_left_out_has_its_default() -> None:
    file: Any = config.parse(TEXT, HitsFile)
    assert (file.report.window, file.zone.profile, file.metrics) == (300.0, "mandated", None)
    assert file.zone.status_name == "lachan-serial.rpz.so.example"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("form: bind", "form: dnsmasq"),
        ("lachan.rpz.so.example", "rpz"),
        ("127.0.0.1:53", "somewhere"),
        ("node: resolver-1", "node: Resolver 1"),
        ("log:", "report: {window: 1.5s}\nlog:"),
        ("log:", "listen: []\nlog:"),
        ("log:", "metrics: {listen: 9156}\nlog:"),
    ],
)
def test_what_makes_no_agent_is_refused(old: str, new: str) -> None:
    with pytest.raises(config.ConfigError):
        config.parse(TEXT.replace(old, new, 1), HitsFile)
