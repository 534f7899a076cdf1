"""What a node says of itself when it is asked for a nonce: who it is and when it said so, signed.

Holds always: the signature is over the nonce, so that an answer cannot be kept and told again to somebody else; it
shows that the node, or somebody who asked it at that moment, answered: a hint of who serves a client, never proof.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lachan.errors import LachanError
from lachan.signing import WHOAMI, SigningKey, VerifyKey

NONCE = re.compile(r"[a-z0-9]{8,63}")
_NODE = re.compile(r"[a-z0-9-]{1,63}/[a-z0-9-]{1,63}")
_TIME = re.compile(r"[0-9]{1,12}")


class WhoamiError(LachanError):
    """Strings that are no node's answer."""


@dataclass(frozen=True)
class Whoami:
    """A node's answer; `node` is ORGANISATION/NODE, `time` seconds since 1970."""

    nonce: str
    node: str
    time: int
    signature: bytes

    @staticmethod
    def _signed(nonce: str, node: str, time: int) -> bytes:
        # None of the three can hold a zero.
        return f"{nonce}\0{node}\0{time}".encode()

    @classmethod
    def make(cls, key: SigningKey, nonce: str, node: str, time: int) -> Whoami:
        """The answer of the node that holds the key."""
        return cls(nonce, node, time, key.sign(WHOAMI, cls._signed(nonce, node, time)))

    @classmethod
    def parse(cls, nonce: str, strings: Sequence[bytes]) -> Whoami:
        """The answer in a TXT record's strings, to a question with this nonce.

        Raises:
            WhoamiError: It is none.
        """
        fields = dict(string[:255].decode("ascii", "replace").partition("=")[::2] for string in strings[:8])
        if set(fields) != {"node", "time", "sig"} or len(strings) != 3:
            raise WhoamiError("node, time and sig are expected, each once")
        if not _NODE.fullmatch(fields["node"]) or not _TIME.fullmatch(fields["time"]) or not NONCE.fullmatch(nonce):
            raise WhoamiError("the nonce, the node or the time is none")
        try:
            signature = base64.b64decode(fields["sig"], validate=True)
        except binascii.Error as error:
            raise WhoamiError(f"the signature cannot be read: {error}") from error
        return cls(nonce, fields["node"], int(fields["time"]), signature)

    def strings(self) -> tuple[bytes, ...]:
        """What stands in the TXT record."""
        return (
            f"node={self.node}".encode(),
            f"time={self.time}".encode(),
            b"sig=" + base64.b64encode(self.signature),
        )

    def verify(self, key: VerifyKey) -> None:
        """Checks that the holder of the key gave this answer.

        Raises:
            SigningError: It did not.
        """
        key.verify(WHOAMI, self._signed(self.nonce, self.node, self.time), self.signature)
