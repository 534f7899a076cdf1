"""What the console says of the operators, and whether that is what the demo is meant to show."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.demo.ports import ADDRESS

TIMEOUT_SECONDS = 5.0
BODY_MAX = 4 << 20
CAUGHT = frozenset({"stale_list", "under_blocking", "counter_mismatch"})
"""What an operator must be found to do that runs on an old list and reports the new one."""
COMPLIANT = "compliant"
NOT_COMPLIANT = "not_compliant"
NOT_ENOUGH_EVIDENCE = "not_enough_evidence"


@dataclass(frozen=True)
class Told:
    """What is said of one operator."""

    verdict: str = NOT_ENOUGH_EVIDENCE
    findings: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """For machines."""
        return {"verdict": self.verdict, "findings": list(self.findings)}


def get(port: int, path: str) -> bytes | None:
    """The body of a page on loopback; None where it is not served (yet)."""
    # No proxy of the environment has a say in what stays on this machine.
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read(BODY_MAX)
    except (OSError, http.client.HTTPException):
        return None
    else:
        return body if response.status == http.client.OK else None
    finally:
        connection.close()


def read(document: Any, operators: Mapping[str, str]) -> dict[str, Told]:
    """The verdicts in the console's document, by the operators' names here; unknown ones are left out.

    Args:
        document: What `/api/v1/verdicts` says.
        operators: Names here, by organisation.
    """
    told = {name: Told() for name in operators.values()}
    for operator in document["operators"]:
        name = operators.get(operator["organisation"])
        if name is not None:
            kinds = dict.fromkeys(finding["kind"] for finding in operator["findings"])
            told[name] = Told(operator["verdict"], tuple(kinds))
    return told


def ask(port: int, operators: Mapping[str, str]) -> dict[str, Told] | None:
    """The verdicts as the console has them now; None where it does not answer."""
    body = get(port, "/api/v1/verdicts")
    return None if body is None else read(json.loads(body), operators)


def are_in(told: Mapping[str, Told], *, cheating: bool) -> bool:
    """Whether there is something to judge: a verdict on each, and what the cheat must bring, or a wrong accusation."""
    if any(one.verdict == NOT_ENOUGH_EVIDENCE for one in told.values()):
        return False
    if not cheating or told["a"].verdict == NOT_COMPLIANT:
        return True
    return set(told["b"].findings) >= CAUGHT


def are_right(told: Mapping[str, Told], *, cheating: bool) -> bool:
    """Whether the honest are compliant without a finding, and the cheat is not, for running on an old list."""
    honest = ["a"] if cheating else ["a", "b"]
    if any(told[name] != Told(COMPLIANT) for name in honest):
        return False
    return not cheating or (told["b"].verdict == NOT_COMPLIANT and set(told["b"].findings) >= CAUGHT)
