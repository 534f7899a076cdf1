"""Knot DNS's configuration of the zones and of those who take them (Knot DNS 3.2 or newer).

Holds always: nobody is answered but the operators' addresses, and a zone is handed over only to who signs with a key
that holds; what goes into the text was bounded by `blocklist_sync/central/rpz/operators.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from blocklist_sync.central.rpz.operators import ALGORITHM, Operator, OperatorsFile, TsigKey
from lachan.config import split_host_port

TEMPLATE = "lachan-rpz"
QUERIES = "lachan-operators"


def place(text: str) -> str:
    """HOST:PORT as Knot writes it."""
    host, port = split_host_port(text)
    return f"{host}@{port}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _list(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_quoted, values))}]"


def _remotes(operator: Operator) -> list[str]:
    return [f"{operator.name}-at-{index}" for index in range(len(operator.notify))]


def _operator(operator: Operator) -> Iterator[str]:
    key = operator.key_name(operator.keys[-1])
    if operator.notify:
        yield "remote:"
        for name, told in zip(_remotes(operator), operator.notify, strict=True):
            yield f"  - id: {name}\n    address: {place(told)}\n    key: {key}"
    yield "acl:"
    yield f"  - id: {operator.name}\n    address: {_list(operator.addresses)}"
    yield f"    key: {_list([operator.key_name(number) for number in operator.keys])}\n    action: transfer"


def configuration(file: OperatorsFile, keys: Mapping[str, TsigKey]) -> str:
    """The configuration to include; it has the keys in it.

    Args:
        file: Zones and operators.
        keys: Every operator's keys by their names.
    """
    asking = sorted({network for operator in file.operators for network in operator.addresses})
    lines = [
        "# Made by `lachan-blocklist rpz-operators`; keys stand in here.",
        # A query for one name would tell whether it is listed: only who may have the list is answered.
        f"mod-queryacl:\n  - id: {QUERIES}\n    address: {_list(asking or ['127.0.0.1/32'])}",
        f"template:\n  - id: {TEMPLATE}\n    storage: {_quoted(str(file.storage))}",
        f"    module: mod-queryacl/{QUERIES}",
        # The zone file is the authority's alone to write; what changed in it becomes an IXFR.
        "    zonefile-sync: -1\n    zonefile-load: difference\n    journal-content: changes\n    semantic-checks: off",
    ]
    for name, key in sorted(keys.items()):
        lines.append(f"key:\n  - id: {name}\n    algorithm: {ALGORITHM}\n    secret: {key.secret}")
    for operator in file.operators:
        lines += _operator(operator)
    for zone in file.zones:
        taking = [operator for operator in file.operators if zone.origin in operator.zones]
        told = [remote for operator in taking for remote in _remotes(operator)]
        lines.append(f"zone:\n  - domain: {zone.origin}\n    template: {TEMPLATE}\n    file: {_quoted(zone.file)}")
        if told:
            lines.append(f"    notify: {_list(told)}")
        if taking:
            lines.append(f"    acl: {_list([operator.name for operator in taking])}")
    return "\n".join(lines) + "\n"
