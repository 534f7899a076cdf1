"""Whether the messages in a pack bear the signatures of those whom the ledger was told of.

Holds always: a key counts for a party from the leaf on by which the ledger was told of it, and for nobody else; whose
an observation must be is read from its assignment, which was entered before it was used; an opening is of the node that
was challenged; a report that is called unverified must be that; where an operator brings its own list of keys, no
other counts for it, whatever the ledger was told.
"""

from __future__ import annotations

from dataclasses import dataclass

from compliance_api.ledger import document
from compliance_api.ledger.outside import Outside
from compliance_api.ledger.pack import PackError
from compliance_api.ledger.wire import Message
from lachan.ledger.leaf import Kind
from lachan.signing import OBSERVATION, OPENING, REPORT, SigningError, VerifyKey

SIGNED = frozenset({Kind.REPORT, Kind.UNVERIFIED_REPORT, Kind.OBSERVATION, Kind.OPENING})
_ADMITTED = frozenset({"registered", "confirmed"})
"""Events of kind enrolment by which the ledger is told of a key."""


class ForgedError(PackError):
    """A signature does not hold, or is not of whom it must be."""


class UnknownKeyError(PackError):
    """A message whose signer the ledger was told nothing of."""


@dataclass(frozen=True)
class Signed:
    """A signed message as a leaf has it (`lachan.ledger.batch`)."""

    message: bytes
    signature: bytes
    key_id: bytes

    @classmethod
    def read(cls, content: bytes) -> Signed:
        """From a leaf's content.

        Raises:
            PackError: It is none.
        """
        found = Message(content)
        return cls(found.data(1), found.data(2), found.data(3))


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


class Signers:
    """Whose key is which, as the opened leaves of a pack tell it."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        # By party: the leaf that told of a key, and the key; in order.
        self._keys: dict[str, list[tuple[int, VerifyKey]]] = {}
        # By assignment: the probe that was given it. By challenge: the node that was challenged.
        self._probes: dict[bytes, str] = {}
        self._challenged: dict[bytes, str] = {}

    def learn(self, index: int, kind: Kind, content: bytes) -> None:
        """Takes in a leaf, in the order of the ledger; those that tell of nobody are passed over."""
        told = document.read(content) if kind in {Kind.ENROLMENT, Kind.ASSIGNMENT, Kind.CHALLENGE} else {}
        try:
            if kind is Kind.ENROLMENT and told.get("event") in _ADMITTED:
                key = VerifyKey.from_raw(bytes.fromhex(str(told["key"])))
                self._keys.setdefault(str(told["party"]), []).append((index, key))
            elif kind is Kind.ASSIGNMENT and told.get("type") == "assignment":
                organisation, _, name = str(told["probe"]).partition("/")
                self._probes[bytes.fromhex(str(told["assignment"]))] = f"lachan://{organisation}/probe/{name}"
            elif kind is Kind.CHALLENGE and told.get("type") == "challenge":
                self._challenged[bytes.fromhex(str(told["challenge"]))] = f"{told['operator']}/{told['node']}"
        except (KeyError, ValueError, SigningError):
            # Whose signature rests on it is named as one of nobody's.
            return

    def check(self, index: int, kind: Kind, content: bytes, subject: str) -> None:
        """Checks a leaf of one of the kinds in `SIGNED`.

        Args:
            index: The leaf's.
            kind: One of `SIGNED`.
            content: What it commits to.
            subject: ORGANISATION/NODE whom it is said to be about; of an opening the challenge.

        Raises:
            ForgedError: The signature does not hold, or the report or opening is another node's.
            UnknownKeyError: The ledger was told of no key for its signer before it.
            PackError: It is no signed message.
        """
        found = Signed.read(content)
        organisation, _, node = subject.partition("/")
        if kind is Kind.UNVERIFIED_REPORT:
            # The key that counted then, and no earlier one.
            for known in self._before(index, f"lachan://{organisation}/node/{node}")[-1:]:
                if _holds(known, REPORT, found):
                    raise ForgedError("is called unverified, and its signature holds")
            return
        if kind is Kind.REPORT:
            own = Message(found.message)
            told = f"{_text(own.data(1))}/{_text(own.data(2))}"
            if told != subject:
                raise ForgedError(f"is a report of {told!a}, and is said to be of {subject}")
            signer, context = f"lachan://{organisation}/node/{node}", REPORT
        elif kind is Kind.OPENING:
            signer, context = self._opener(Message(found.message)), OPENING
        else:
            assignment = Message(found.message).data(1)
            if assignment not in self._probes:
                raise UnknownKeyError(f"its assignment {assignment.hex()[:64]} is not opened in the pack")
            signer, context = self._probes[assignment], OBSERVATION
        known_keys = self._before(index, signer)
        if not known_keys:
            raise UnknownKeyError(f"the pack opens no leaf in front of it that tells the key of {signer}")
        key = next((one for one in known_keys if _holds(one, context, found)), None)
        if key is None:
            raise ForgedError(f"does not bear the signature of {signer}")
        if self._outside.denies(signer, key.raw):
            raise ForgedError(f"is by a key of {signer} that is none of those you brought")

    def _opener(self, own: Message) -> str:
        """The node that was challenged, where it is the one that answers."""
        challenge, told = own.data(1), f"{_text(own.data(2))}/{_text(own.data(3))}"
        if challenge not in self._challenged:
            raise UnknownKeyError(f"its challenge {challenge.hex()[:64]} is not opened in the pack")
        if told != self._challenged[challenge]:
            raise ForgedError(f"is an opening of {told!a}, and {self._challenged[challenge]!a} was challenged")
        return "lachan://{}/node/{}".format(*told.split("/", 1))

    def _before(self, index: int, party: str) -> list[VerifyKey]:
        return [key for at, key in self._keys.get(party, ()) if at < index]


def _holds(key: VerifyKey, context: bytes, found: Signed) -> bool:
    if key.key_id != found.key_id:
        return False
    try:
        key.verify(context, found.message, found.signature)
    except SigningError:
        return False
    return True
