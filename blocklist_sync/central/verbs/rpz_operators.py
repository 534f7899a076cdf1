"""`lachan-blocklist rpz-operators`: from the operators' names and addresses to Knot's configuration and their keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from blocklist_sync.central.rpz.knot import configuration
from blocklist_sync.central.rpz.operators import OperatorsFile, key_path, obtain
from blocklist_sync.central.verbs.rpz import FILE_MODE, tell
from lachan import config, durable, terminal


def rpz_operators(
    data: Annotated[Path, typer.Option("--config", help="deploy/examples/rpz-operators.yaml shows one.")],
    out: Annotated[Path, typer.Option(help="The file that Knot's configuration includes; keys stand in it.")],
    reload: Annotated[str | None, typer.Option(help="A command to run then, without a shell: `knotc reload`.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
) -> None:
    """Draws a TSIG key for each operator who has none, and writes who may take which zone."""
    file = config.load(data, OperatorsFile)
    names = [(operator, operator.key_name(number)) for operator in file.operators for number in operator.keys]
    fresh = {name for _, name in names if not key_path(file.keys, name).exists()}
    keys = {name: obtain(file.keys, name) for _, name in names}
    durable.write(out, [configuration(file, keys).encode()], FILE_MODE)
    if reload is not None:
        tell(reload)
    rows = [
        {"operator": operator.name, "key": name, "drawn": name in fresh, "file": str(key_path(file.keys, name))}
        for operator, name in names
    ]
    if as_json:
        terminal.document({"keys": rows})
    else:
        terminal.table(
            "Keys to hand over, each to its operator alone",
            tuple(rows[0]) if rows else ("",),
            [tuple(r.values()) for r in rows],
        )
