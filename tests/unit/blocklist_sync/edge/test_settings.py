from __future__ import annotations

from pathlib import Path

import pytest

from blocklist_sync.edge.settings import SyncSettings
from lachan import config

TEXT = """
repository: https://list.example/
root: root.json
ca: /etc/lachan/ca.pem
poll_interval: 45s
"""


def test_settings_are_read() -> None:
    settings = config.parse(TEXT, SyncSettings, base=Path("/etc/edge"))
    assert settings.repository == "https://list.example"
    assert settings.root == Path("/etc/edge/root.json")
    assert (settings.poll_interval, settings.round_timeout, settings.tls) == (45.0, 120.0, None)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ("repository: http://list.example", "repository"),
        ("repository: http://192.0.2.1/", "repository"),
        ("repository: https://who:what@list.example", "repository"),
        ("repository: https://list.example:99999", "repository"),
        ("mirrors: [https://a.example, http://b.example]", "mirrors.1"),
        ("hosts: {resolvers: [dns.example:53]}", "hosts.resolvers.0"),
        ("ring: first", "ring"),
        ("push: {target: list.example:7445}", ""),
        ("poll_interval: 5", None),
        ("max_records_bytes: 10", "max_records_bytes"),
        ("tls: {certificate: a.pem}", "tls.key"),
        ("proxy: x", "proxy"),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_path(change: str, path: str | None) -> None:
    key = change.partition(":")[0]
    text = "\n".join(line for line in TEXT.splitlines() if not line.startswith(f"{key}:")) + "\n" + change
    if path is None:
        assert config.parse(text, SyncSettings).poll_interval == 5.0
        return
    with pytest.raises(config.ConfigError) as refused:
        config.parse(text, SyncSettings)
    assert [problem.path for problem in refused.value.problems] == [path]


def test_mirrors_and_a_cache_on_this_machine() -> None:
    mirrors = "mirrors: [http://127.0.0.1:8080/, https://list.example/, 'https://[2001:db8::1]:8443/list/']\n"
    settings = config.parse(TEXT + mirrors, SyncSettings)
    assert settings.repositories == (
        "https://list.example",
        "http://127.0.0.1:8080",
        "https://[2001:db8::1]:8443/list",
    )
