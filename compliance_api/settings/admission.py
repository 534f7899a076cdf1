"""What may be set about who comes in, and how much each may take."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from compliance_api.domain.parties.bucket import Allowance
from compliance_api.domain.parties.enrolment import Terms
from compliance_api.usecases.membership.share import Share
from lachan.config import ConfigPath, Duration, HostPort, Settings

Rate = Annotated[float, Field(gt=0, le=1_000_000)]
# A whole batch must fit at once.
Burst = Annotated[int, Field(ge=256, le=10_000_000)]


class ShareSettings(Settings):
    """Calls, and reports or observations in them: a second for ever, and at once."""

    calls_per_second: Rate
    calls_burst: Annotated[int, Field(ge=1, le=10_000_000)]
    items_per_second: Rate
    items_burst: Burst

    def share(self) -> Share:
        """As the use case's own type."""
        return Share(
            Allowance(self.calls_per_second, self.calls_burst), Allowance(self.items_per_second, self.items_burst)
        )


class LimitSettings(Settings):
    """What callers may take of all processes of the service together; beyond it they are told when to come again."""

    # One node or probe. A node that was away for a day brings 288 reports; one away for a month 8,640.
    party: ShareSettings = ShareSettings(
        calls_per_second=50, calls_burst=500, items_per_second=1_000, items_burst=20_000
    )
    # One organisation with all its nodes and probes.
    organisation: ShareSettings = ShareSettings(
        calls_per_second=2_000, calls_burst=10_000, items_per_second=10_000, items_burst=200_000
    )


class IssuerSettings(Settings):
    """The authority that signs certificates: `ca.pem` and `ca-key.pem`, or one below the one that is pinned."""

    certificate: ConfigPath
    key: ConfigPath


class EnrolmentSettings(Settings):
    """How nodes and probes come in."""

    # For newcomers, who have no certificate yet.
    listen: HostPort
    # Where they reach that; it stands in their tokens.
    address: HostPort
    issuer: IssuerSettings
    # A token is good for so long, and a newcomer waits so long for its organisation.
    token: Annotated[Duration, Field(ge=1, le=7 * 86400)] = 86400.0
    pending: Annotated[Duration, Field(ge=1, le=90 * 86400)] = 7 * 86400.0
    # Of a certificate; it is renewed before its last third.
    lifetime: Annotated[Duration, Field(ge=1, le=398 * 86400)] = 30 * 86400.0

    def terms(self) -> Terms:
        """As the domain's own type."""
        return Terms(self.token, self.pending, self.lifetime)
