"""An attacker in a process of his own: `python -m tests.support.flood PORT SOURCE DOMAIN WINDOW`, until his input ends.

Holds always: he asks for another random name as soon as one was answered or given up; never more at once than WINDOW,
so that what fills up is what the edge bounds, not a buffer of a socket.
"""

from __future__ import annotations

import itertools
import sys

from tests.support.load import Load

PATIENCE_SECONDS = 0.3


def main() -> None:
    """Prints how many names were asked for."""
    port, source, domain, window = sys.argv[1:]
    names = (f"{number:x}-{source[-2:]}.{domain}" for number in itertools.count())
    with Load(int(port), names, lambda *_: "", int(window), PATIENCE_SECONDS, source) as load:
        sys.stdin.read()
        tally = load.stop()
    sys.stdout.write(f"{tally.answered + len(tally.lost)}\n")


if __name__ == "__main__":
    main()
