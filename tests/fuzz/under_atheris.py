"""One target in Python under atheris: `python -m tests.fuzz.under_atheris TARGET STATE SEED SECONDS`.

Holds always: what is to guide it is instrumented while it is imported, so nothing of the edge is imported before.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.fuzz import build, corpus

INSTRUMENTED = ["lachan", "dnslib", "resolver.listeners", "h11", "h2"]


def main() -> None:
    """Runs until the time is up or something breaks."""
    kind, state, seed, seconds = sys.argv[1:]
    sys.path.insert(0, str(build.TOOLS))
    import atheris  # type: ignore[import-not-found] # put there by `make fuzz`

    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.targets import PURE, SIZES

    with tempfile.TemporaryDirectory() as folder:
        for name, data in corpus.seeds(kind).items():
            (Path(folder) / name).write_bytes(data)
        options = {
            "verbosity": 1,
            "print_final_stats": 1,
            "max_total_time": max(1, int(float(seconds))),
            "max_len": SIZES[kind],
            "seed": int(seed) & 0x7FFFFFFF,
            "artifact_prefix": f"{state}.",
        }
        atheris.Setup(["fuzz", *(f"-{key}={value}" for key, value in options.items()), folder], PURE[kind])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
