"""What the service is told of its ledger."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lachan.config import ConfigPath, Duration, Settings


class LedgerSettings(Settings):
    """How the ledger gets its heads; without this section it is filled and has none."""

    # Its Ed25519 key, used for nothing else; the policy names it.
    key: ConfigPath
    # C2SP tlog-policy: this log, its witnesses with their addresses, and how many of them are enough.
    policy: ConfigPath
    # Between two heads, where there is something new; a report leaves its edge's spool about that much later.
    interval: Annotated[Duration, Field(ge=0.05, le=300)] = 10.0
    # That one witness may take.
    witness_timeout: Annotated[Duration, Field(ge=0.1, le=30)] = 5.0
    # While nothing is new, the last head is cosigned again after this time: nothing can be backdated by more.
    refresh: Annotated[Duration, Field(ge=1, le=240)] = 60.0
