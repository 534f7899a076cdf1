"""`python -m deploy.demo`: what `make demo` runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploy.demo.place import ROOT
from deploy.demo.ports import DEFAULT_BASE, PortError, Ports
from deploy.demo.show import FAILED, Wish, show
from lachan.terminal import complain


def main() -> int:
    """Reads the command line and runs the demo."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description="The whole system on this machine.")
    parser.add_argument("--check", action="store_true", help="end with both verdicts, as JSON; status 0 if right")
    parser.add_argument("--cheat", choices=("stale", "none"), default="stale", help="what operator B does")
    parser.add_argument("--port-base", type=int, default=DEFAULT_BASE, help="moves every port")
    parser.add_argument("--list", type=Path, help="a list file of yours, taken over as category gambling")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "demo", help="wiped at the start")
    arguments = parser.parse_args()
    if arguments.list is not None and not arguments.list.is_file():
        complain(f"{arguments.list}: no such file")
        return FAILED
    try:
        ports = Ports(arguments.port_base)
    except PortError as error:
        complain(str(error))
        return FAILED
    wish = Wish(ports, arguments.folder.absolute(), arguments.cheat == "stale", arguments.check, arguments.list)
    return show(wish)


if __name__ == "__main__":
    sys.exit(main())
