"""The token by which a node or a probe is enrolled: one text, carried by people, good once.

Holds always: it is bound to one organisation, role and name; it pins the authority by which the service is known, so
that a newcomer needs nothing else to know whom it talks to; what the service keeps of it does not show the secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass

from lachan.errors import LachanError
from lachan.tls import Identity, TlsError

PREFIX = "lachan-enrol-1."
SECRET_BYTES = 32
PIN_BYTES = 32
MAX_CHARACTERS = 2000
_DOMAIN = b"lachan/enrolment-token/v1\0"


class InvitationError(LachanError):
    """A text is no token."""


def hash_of(secret: bytes) -> bytes:
    """What is kept of a token's secret, and what proofs are bound to."""
    return hashlib.sha256(_DOMAIN + secret).digest()


@dataclass(frozen=True)
class Invitation:
    """A token's content."""

    # HOST:PORT of the listener for newcomers.
    server: str
    # SHA-256 of the authority's certificate in DER form.
    pin: bytes
    party: Identity
    secret: bytes

    def __repr__(self) -> str:
        return f"Invitation({self.party})"

    def text(self) -> str:
        """The token."""
        content = {
            "server": self.server,
            "pin": self.pin.hex(),
            "party": str(self.party),
            "secret": self.secret.hex(),
        }
        packed = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
        return PREFIX + base64.urlsafe_b64encode(packed).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Invitation:
        """From a token.

        Raises:
            InvitationError: It is none, or was not copied whole.
        """
        text = "".join(text.split())
        if not text.startswith(PREFIX) or len(text) > MAX_CHARACTERS:
            raise InvitationError(f"not an enrolment token: one begins with {PREFIX}")
        packed = text.removeprefix(PREFIX)
        try:
            content = json.loads(base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True))
            found = cls(
                str(content["server"]),
                bytes.fromhex(content["pin"]),
                Identity.parse(content["party"]),
                bytes.fromhex(content["secret"]),
            )
        except (binascii.Error, ValueError, KeyError, TypeError, RecursionError, TlsError) as error:
            raise InvitationError("not a whole enrolment token: was all of it copied?") from error
        if len(found.pin) != PIN_BYTES or len(found.secret) != SECRET_BYTES:
            raise InvitationError("not a whole enrolment token: was all of it copied?")
        return found
