from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from compliance_api.domain.parties.organisation import Endpoint, Transport
from compliance_api.settings.endpoint import EndpointSettings


@pytest.mark.parametrize(("transport", "port"), [("udp", 53), ("tcp", 53), ("dot", 853), ("doh", 443)])
def test_a_transport_has_its_port(transport: str, port: int) -> None:
    read = EndpointSettings.model_validate({"address": "192.0.2.1", "transport": transport})
    assert read.endpoint() == Endpoint("192.0.2.1", port, Transport(transport))
    other = EndpointSettings.model_validate({"address": "192.0.2.1", "transport": transport, "port": 5353})
    assert other.endpoint().port == 5353


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"transport": "tcp", "server_name": "resolver.example"}, "server_name is for dot and doh"),
        ({"transport": "dot", "path": "/dns-query"}, "path is for doh"),
    ],
)
def test_what_means_nothing_for_a_transport_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EndpointSettings.model_validate({"address": "192.0.2.1", **values})
