from typing_extensions import Buffer

LAYOUT: dict[str, int]

class Counters:
    def __init__(self, buffer: Buffer, window_seconds: int) -> None: ...
    def turn_away(self, reason: int, now: int) -> None: ...
