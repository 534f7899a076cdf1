"""Kills whatever takes reports, under load, and proves what is left."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.ingest.place import Place, everybody, operators, say
from tests.ingest.proof import Proof, prove

REPEATED = 64


def killings(place: Place) -> list[tuple[str, Callable[[], None]]]:
    """What is killed, one after the other, each under load; all of it comes back."""
    first, second = place.services

    def service(one: Any) -> Callable[[], None]:
        def run() -> None:
            one.kill()
            one.start()

        return run

    def database() -> None:
        place.database.kill()
        place.database.start()

    def both() -> None:
        first.kill()
        place.database.kill()
        place.database.start()
        first.start()

    return [
        ("a service", service(first)),
        ("PostgreSQL", database),
        ("the other service", service(second)),
        ("one of PostgreSQL's backends", place.database.kill_a_backend),
        ("PostgreSQL and a service", both),
    ]


def survive(folder: Path, nodes: int, processes: int, seconds: float, kinds: int, batch: int) -> tuple[Proof, int, int]:
    """Kills under load; what was proved, how many kills, and how many receipts came differently the second time."""
    place = Place(folder, operators(nodes), services=2)
    kills = 0
    try:
        place.start()
        with place.nodes(processes, os.sched_getaffinity(0)) as groups:
            for what, kill in killings(place)[:kinds]:
                for group in groups:
                    group.order(do="run", seconds=2 * seconds, batch=batch, spread=True)
                time.sleep(seconds)
                kill()
                kills += 1 + (what == "PostgreSQL and a service")
                answers = [group.answer() for group in groups]
                taken, failures = (sum(answer[key] for answer in answers) for key in ("taken", "failures"))
                say(f"killed {what} under load: {taken} reports acknowledged, {failures} failed calls so far")
            differing = sum(answer["differing"] for answer in everybody(groups, do="repeat", count=REPEATED))
            answers = everybody(groups, do="tell")
            wrong = sum(answer["wrong"] for answer in answers)
            assert place.database.url is not None
            proof = prove(place.database.url, [group.log for group in groups])
    finally:
        place.close()
    return proof, kills, differing + wrong
