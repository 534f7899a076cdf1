"""What the registry says of a party, but its name and key, as it is kept, carried by a token, and put into the ledger.

Holds always: one party has one form; what an older release did not know of yet has its default.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from compliance_api.domain.parties.organisation import Node, Person, Probe
from compliance_api.errors import ComplianceError
from lachan.tls import Role

_NODE = TypeAdapter(Node)
_PROBE = TypeAdapter(Probe)
_PERSON = TypeAdapter(Person)


def entry_of(party: Node | Probe | Person) -> dict[str, Any]:
    """All that the registry says of a party, but its name and key."""
    adapter: TypeAdapter[Any] = _NODE if isinstance(party, Node) else _PROBE if isinstance(party, Probe) else _PERSON
    found: dict[str, Any] = adapter.dump_python(party, mode="json", exclude={"name", "key"})
    # Sets have no order, and what stands in the ledger has to.
    return {
        name: sorted(value) if isinstance(getattr(party, name), frozenset) else value for name, value in found.items()
    }


def party_of(role: Role, name: str, key: bytes, entry: dict[str, Any]) -> Node | Probe:
    """A node or a probe from what is kept of it; what an older release did not know has its default.

    Raises:
        ComplianceError: It is none.
    """
    adapter: TypeAdapter[Any] = _NODE if role is Role.NODE else _PROBE
    try:
        found: Node | Probe = adapter.validate_python({**entry, "name": name, "key": key})
    except ValueError as error:
        raise ComplianceError(f"{role} {name}: what is kept of it cannot be read: {error}") from error
    return found


def person_of(name: str, key: bytes, entry: dict[str, Any]) -> Person:
    """Somebody from what a token carried of them.

    Raises:
        ComplianceError: It is nobody.
    """
    try:
        found: Person = _PERSON.validate_python({**entry, "name": name, "key": key})
    except ValueError as error:
        raise ComplianceError(f"person {name}: what is kept of them cannot be read: {error}") from error
    return found
