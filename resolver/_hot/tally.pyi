from typing_extensions import Buffer

TALLY_LAYOUT: dict[str, int]

class Tally:
    def __init__(self, buffer: Buffer) -> None: ...
