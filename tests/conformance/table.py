"""The whole table, by what it is about."""

from __future__ import annotations

from tests.conformance import answers, cookies, forged, http, local, messages, rfc8906, streams, verdicts

CASES = (
    *rfc8906.CASES,
    *messages.CASES,
    *verdicts.CASES,
    *answers.CASES,
    *streams.CASES,
    *http.CASES,
    *forged.CASES,
    *cookies.CASES,
    *local.CASES,
)
