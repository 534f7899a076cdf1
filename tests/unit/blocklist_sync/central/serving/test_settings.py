from __future__ import annotations

import pytest

from blocklist_sync.central.serving.settings import GrpcSettings, ListSettings
from lachan import config
from lachan.tls import Identity, Role


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:8443", "list.example:443"])
def test_addresses(address: str) -> None:
    text = f"release: r\nrepository: r\nhttps: {{listen: '{address}', certificate: c, key: k, client_ca: a}}"
    assert config.parse(text, ListSettings).https.listen == address


@pytest.mark.parametrize("address", ["127.0.0.1", ":443", "::1:8443", "a b:1", "x:123456"])
def test_what_is_no_address(address: str) -> None:
    text = f"release: r\nrepository: r\nhttps: {{listen: '{address}', certificate: c, key: k, client_ca: a}}"
    with pytest.raises(config.ConfigError) as refused:
        config.parse(text, ListSettings)
    assert [problem.path for problem in refused.value.problems] == ["https.listen"]


@pytest.mark.parametrize("door", ["", ", open: false", ", client_ca: a, open: true"])
def test_who_may_download_is_said_once(door: str) -> None:
    text = f"release: r\nrepository: r\nhttps: {{listen: '[::1]:1', certificate: c, key: k{door}}}"
    with pytest.raises(config.ConfigError, match="either client_ca"):
        config.parse(text, ListSettings)


def test_one_party_alone_is_given_samples() -> None:
    files = "listen: '[::1]:1'\ntls: {ca: a, certificate: c, key: k}\n"
    own = Identity("so", Role.SERVICE, "lists")
    assert str(config.parse(files, GrpcSettings).may_sample(own)) == "lachan://so/service/compliance"
    named = config.parse(files + "compliance: lachan://other/service/verdicts", GrpcSettings)
    assert str(named.may_sample(own)) == "lachan://other/service/verdicts"
    with pytest.raises(config.ConfigError, match="compliance"):
        config.parse(files + "compliance: compliance", GrpcSettings)
