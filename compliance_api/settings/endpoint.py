"""Where a resolver is asked: one that is judged, or one that questions are held against.

Holds always: an endpoint is complete for its transport.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from compliance_api.domain.parties.organisation import Endpoint, Transport
from compliance_api.settings.values import Domain
from lachan.address import Address, Port
from lachan.config import Settings


class EndpointSettings(Settings):
    """Where DNS is answered."""

    # Empty stands for whatever resolver a line is handed out (DHCP, RA, PPP).
    address: Address | Literal[""]
    # 53 by UDP and TCP, 853 by DoT, 443 by DoH.
    port: Port | None = None
    transport: Literal["udp", "tcp", "dot", "doh"] = "udp"
    # DoT and DoH: the name its certificate is for, its address where empty; and the path of the URL.
    server_name: Domain | Literal[""] = ""
    path: Annotated[str, Field(pattern=r"^(/[!-~]{0,127})?$")] = ""

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if self.server_name and self.transport not in {"dot", "doh"}:
            raise ValueError("server_name is for dot and doh")
        if self.path and self.transport != "doh":
            raise ValueError("path is for doh")
        return self

    def endpoint(self) -> Endpoint:
        """As the domain's own type."""
        port = self.port or {"dot": 853, "doh": 443}.get(self.transport, 53)
        return Endpoint(self.address, port, Transport(self.transport), self.server_name, self.path)
