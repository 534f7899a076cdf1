"""Whom to turn to where a name is blocked, as clients are told that ask for it (draft-ietf-dnsop-structured-dns-error).

Holds always: a contact is a call or a letter, never a page (the draft's section on security: nothing that a program
would open by itself); what is told is the operator's and by kind of rule, never about the name or the client.
"""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import AfterValidator, Field

from lachan.config import Settings

TEXT_BYTES_MAX = 1024
BLOCKED, CENSORED, FILTERED = 15, 16, 17
DNS_OPERATOR_POLICY = 6

_REASONS = {
    BLOCKED: "Bị chặn theo quy định của nhà mạng",
    CENSORED: "Bị chặn theo yêu cầu của cơ quan quản lý để bảo vệ trẻ em",
    FILTERED: "Bị chặn theo mức lọc mà mạng này đã chọn để bảo vệ trẻ em",
}


def _told(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("printable text without blanks around it is expected")
    return text


class ContactSettings(Settings):
    """Told over encrypted transports, to clients that ask."""

    organisation: Annotated[str, Field(min_length=1, max_length=60), AfterValidator(_told)]
    uris: tuple[Annotated[str, Field(max_length=100, pattern=r"^(?:mailto|tel):[!#-\[\]-~]+$")], ...] = Field(
        min_length=1, max_length=4, description="mailto: or tel:"
    )


def texts(settings: ContactSettings) -> dict[int, bytes]:
    """The text that goes with each extended error, as I-JSON (RFC 7493) without a blank too much."""
    made = {}
    for code, reason in _REASONS.items():
        told: dict[str, object] = {"c": list(settings.uris), "j": reason, "o": settings.organisation, "l": "vi"}
        if code == BLOCKED:
            # The other two have no sub-error that applies.
            told["s"] = DNS_OPERATOR_POLICY
        made[code] = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
    return made
