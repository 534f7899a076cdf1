"""`lachan-blocklist order`: legal orders and their scans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.verbs import registry
from blocklist_sync.central.verbs.common import Json, given_order
from blocklist_sync.central.verbs.registry import Config
from lachan import terminal
from lachan.blocklist.v1 import registry_service_pb2 as pb

app = typer.Typer(help="The legal orders that entries rest on.", no_args_is_help=True, add_completion=False)

COLUMNS = ("number", "date", "issuer", "urgency", "jurisdiction", "mandated", "scan", "registered by", "at")


def _show(orders: list[pb.RegisteredOrder], title: str, *, as_json: bool) -> None:
    if as_json:
        terminal.document({"orders": [registry.order_document(one) for one in orders]})
        return
    rows = [
        (
            one.order.number,
            one.order.date,
            one.order.issuer,
            one.order.urgency,
            one.order.jurisdiction,
            "everybody" if one.order.mandated else "profiles",
            "yes" if one.order.scan_sha256 else "no",
            one.added_by,
            registry.at(one.added_at),
        )
        for one in orders
    ]
    terminal.table(title, COLUMNS, rows)


@app.command("add")
def add(
    number: Annotated[str, typer.Argument(help="Its number, as entries will bear it.")],
    config: Config,
    date: Annotated[str, typer.Option(help="YYYY-MM-DD.")],
    issuer: Annotated[str, typer.Option(help="Who issued it.")],
    legal_basis: Annotated[str, typer.Option(help="Law, decree and article.")],
    jurisdiction: Annotated[str, typer.Option(help="As the law file names it.")],
    mandated: Annotated[
        bool, typer.Option("--mandated/--profile-only", help="For everybody, or for profiles that ask for it.")
    ],
    urgent: Annotated[bool, typer.Option(help="Shorter deadlines.")] = False,
    unblock: Annotated[bool, typer.Option(help="It frees names: the deadlines of unblocking.")] = False,
    scan: Annotated[Path | None, typer.Option(help="The scanned document, at most 16 MiB.")] = None,
    as_json: Json = False,
) -> None:
    """Registers an order; the same one again changes nothing."""
    if urgent and unblock:
        raise CentralError("--urgent and --unblock: one of them")
    order = pb.Order(
        number=given_order(number),
        date=date,
        issuer=issuer,
        legal_basis=legal_basis,
        urgency="urgent" if urgent else "unblock" if unblock else "ordinary",
        jurisdiction=jurisdiction,
        mandated=mandated,
    )
    held = registry.asking(config, lambda client: client.register(order, scan))
    _show([held], "Registered", as_json=as_json)


@app.command("list")
def list_orders(config: Config, as_json: Json = False) -> None:
    """Every order."""
    _show(registry.asking(config, lambda client: client.orders()), "Orders", as_json=as_json)


@app.command("scan")
def scan(
    number: Annotated[str, typer.Argument(help="The order's number.")],
    config: Config,
    out: Annotated[Path, typer.Option(help="File to write.")],
    as_json: Json = False,
) -> None:
    """Fetches an order's scanned document."""
    registry.asking(config, lambda client: client.scan(given_order(number), out))
    registry.show_file(out, as_json=as_json)
