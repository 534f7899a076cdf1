"""`lachan-blocklist`: from a legal order to a signed, served list."""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperGroup

from lachan import terminal

VERBS = {
    "keys": "keys:app",
    "root": "ceremony:root_app",
    "targets": "ceremony:targets_app",
    "found": "ceremony:found",
    "rotate": "ceremony:rotate",
    "rpz": "rpz:rpz",
    "rpz-operators": "rpz_operators:rpz_operators",
    "import": "imports:import_",
    "diff": "imports:diff",
    "source": "sources:app",
    "explain": "explain:explain",
    "order": "order:app",
    "people": "person:app",
    "proposals": "proposal:app",
    "propose": "proposal:propose",
    "revoke": "proposal:revoke",
    "approve": "proposal:approve",
    "reject": "proposal:reject",
    "withdraw": "proposal:withdraw",
    "database": "database:database",
    "log": "history:log",
    "due": "history:due",
    "review": "history:review",
    "overdue": "history:overdue",
    "build": "release:build",
    "sign": "signing:sign",
    "publish": "release:publish",
    "rollback": "release:rollback",
    "verify": "signing:verify",
    "export": "inspection:export",
    "inspect": "inspection:inspect",
    "trial": "trial:app",
    "serve": "serve:serve",
}
"""Where each verb stands below `verbs`: one is loaded when it is asked for, so that none waits for what others need."""


class Verbs(TyperGroup):
    """The verbs, each loaded by its name.

    Typer brings a Click of its own, whose types it does not publish.
    """

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  named by Click
        """Every verb, in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The verb of a name."""
        if cmd_name not in VERBS:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = VERBS[cmd_name].partition(":")
        found = getattr(importlib.import_module(f"blocklist_sync.central.verbs.{module}"), attribute)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False)
            alone.command(cmd_name)(found)
            found = alone
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command


app = typer.Typer(name="lachan-blocklist", cls=Verbs, no_args_is_help=True, add_completion=False)


@app.callback()
def _lachan_blocklist() -> None:
    """Builds, signs and serves the list."""


main = terminal.run(app)
