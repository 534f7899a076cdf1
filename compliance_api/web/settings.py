"""What the console can be told: bounds, rhythm, and whose console it is."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from compliance_api.domain.law.law import Texts
from lachan.config import Duration, Settings


class ConsoleSettings(Settings):
    """The console's part of the service's configuration."""

    authority: Texts | None = None
    """Who runs this console, under the product's name; institutions change, so it is data."""
    notice: Texts | None = None
    """A line above everything, such as that the data are synthetic."""
    refresh: Annotated[Duration, Field(ge=1, le=3600)] = 30.0
    """Between two refreshes by an open page, in seconds."""
    read_timeout: Annotated[Duration, Field(ge=0.1, le=60)] = 5.0
    """Of one reading from storage, in seconds; after it the page says that it cannot be read."""
    stale_after: Annotated[Duration, Field(ge=1, le=7 * 86400)] = 900.0
    """Age of the newest evaluation from which on the page warns that judging may have stopped, in seconds."""
