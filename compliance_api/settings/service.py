"""The configuration of the service: `compliance.yaml`.

Holds always: what is loaded is complete and consistent, or every problem is named at once; an embedded database is
refused where the service listens beyond this machine, for that database asks nobody for a password.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from compliance_api.domain.law.retention import RetentionSettings
from compliance_api.ledger.settings import LedgerSettings
from compliance_api.nonces.settings import NonceSettings
from compliance_api.settings.admission import EnrolmentSettings, LimitSettings
from compliance_api.settings.endpoint import EndpointSettings
from compliance_api.settings.intake import IntakeSettings
from compliance_api.settings.values import Interval, Names, is_loopback
from compliance_api.web.settings import ConsoleSettings
from lachan.config import ConfigPath, HostPort, Settings
from lachan.log import LogSettings
from lachan.postgres import DatabaseSettings
from lachan.tls import TlsFiles


class ListAuthoritySettings(Settings):
    """Where names in force come from."""

    target: HostPort
    # How old the names and the history of releases may grow before they are asked for again, and at most be used.
    refresh: Interval = 300.0
    maximum_age: Interval = 3600.0
    # Names held ready for drawing.
    pool: Annotated[int, Field(ge=1, le=1000)] = 1000


class AssignmentSettings(Settings):
    """What probes are asked to do, and how often."""

    interval: Interval = 3600.0
    # Of an operator and day: fresh listed names, some of which turn out to be dead; those between their deadline and a
    # week; controls, and ancestors of listed names.
    names_a_day: Annotated[int, Field(ge=1, le=20_000)] = 700
    aged_a_day: Annotated[int, Field(ge=0, le=1000)] = 24
    controls_a_day: Annotated[int, Field(ge=1, le=20_000)] = 240
    parents_a_day: Annotated[int, Field(ge=0, le=20_000)] = 120
    # In each round, the same ones all day, to time releases: names that need not be blocked yet, and names that were
    # taken out of the list.
    young: Annotated[int, Field(ge=0, le=100)] = 6
    released: Annotated[int, Field(ge=0, le=100)] = 12
    # Instead of `names_a_day`: listed names in each round; then every control is asked in each of them too.
    listed: Annotated[int, Field(ge=1, le=1000)] | None = None
    # The probe spreads its questions over this time, and may take this long in all.
    spread: Interval = 1200.0
    expires: Interval = 3600.0
    # Observations may be handed in for this long after the assignment's end.
    handed_in_within: Interval = 7 * 86400.0
    # By how much a probe's clock may differ.
    clock_tolerance: Interval = 5.0
    # Of a question: every name is asked for its A record and by one of the others beside it.
    types: Annotated[tuple[Literal["A", "AAAA", "HTTPS"], ...], Field(min_length=1, max_length=3)] = ("A",)
    # Two resolvers that do not filter, of two different people: a name that either does not know proves nothing.
    reference: EndpointSettings
    second_reference: EndpointSettings
    # Lines beside the authority's own that ask for nonces, and by that show each operator that a probe is there: so
    # many, and half of them at most.
    shown_lines: Annotated[int, Field(ge=0, le=1000)] = 16
    # Part of the questions that have DO set (RFC 3225).
    dnssec_share: Annotated[float, Field(ge=0, le=1)] = 0.25
    # Alive names that are not listed and never were.
    controls: Names = Field(min_length=1)
    # Parents and siblings of listed names that are not listed themselves.
    neighbours: Names = ()

    def a_round(self, a_day: int) -> int:
        """What comes of so many a day in each round."""
        return min(1000, math.ceil(a_day * self.interval / 86400))

    @model_validator(mode="after")
    def _two_references(self) -> Self:
        if self.reference.endpoint() == self.second_reference.endpoint():
            raise ValueError("second_reference is the first one again")
        if not self.reference.address or not self.second_reference.address:
            raise ValueError("a reference has an address of its own")
        return self


class JudgeSettings(Settings):
    """How often verdicts are reached."""

    interval: Interval = 60.0


class ConsoleSection(ConsoleSettings):
    """The console and where it listens."""

    listen: HostPort


class MetricsSettings(Settings):
    """The Prometheus endpoint."""

    listen: HostPort


class ServiceSettings(Settings):
    """`compliance.yaml`."""

    listen: HostPort
    tls: TlsFiles
    receipt_key: ConfigPath
    database: DatabaseSettings
    list_authority: ListAuthoritySettings
    registry: ConfigPath
    law: ConfigPath
    # What a block looks like; a built-in text, which knows no page, where there is none.
    shapes: ConfigPath | None = None
    assignments: AssignmentSettings
    intake: IntakeSettings = IntakeSettings()
    judge: JudgeSettings = JudgeSettings()
    ledger: LedgerSettings | None = None
    retention: RetentionSettings = RetentionSettings()
    limits: LimitSettings = LimitSettings()
    nonces: NonceSettings | None = None
    enrolment: EnrolmentSettings | None = None
    console: ConsoleSection | None = None
    metrics: MetricsSettings | None = None
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _trust_stays_at_home(self) -> Self:
        if self.database.embedded is None:
            return self
        places = {"listen": self.listen}
        places |= {"console.listen": self.console.listen} if self.console else {}
        places |= {"enrolment.listen": self.enrolment.listen} if self.enrolment else {}
        beyond = [name for name, address in places.items() if not is_loopback(address)]
        if beyond:
            raise ValueError(f"database.embedded is for this machine only, but {', '.join(beyond)} is not on loopback")
        return self
