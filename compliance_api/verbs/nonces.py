"""`lachan-compliance nonce-zone`: the name server of nonces."""

from __future__ import annotations

import asyncio
import sys

from compliance_api.verbs.database import Config, using
from lachan import terminal


def nonce_zone(config_file: Config) -> None:
    """Answer for the authority's zone of nonces, and note which address asked for which (nonces in the settings)."""
    from compliance_api.errors import ComplianceError
    from compliance_api.nonces import server
    from compliance_api.storage.probing.paths import Paths
    from lachan import log

    with using(config_file, "nonce-zone") as place:
        settings = place.settings
        nonces = settings.nonces
        if nonces is None:
            raise ComplianceError(f"{config_file}: nonces: there is no zone to answer for")
        log.configure("nonce-zone", settings.log.form, settings.log.level)

        def ready(port: int) -> None:
            terminal.line(f"ready dns={nonces.listen.rpartition(':')[0]}:{port}")
            sys.stdout.flush()

        asyncio.run(place.run(lambda engine: server.serve(nonces, Paths(engine), ready)))
