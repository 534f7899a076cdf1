from typing_extensions import Buffer

CENSUS_LAYOUT: dict[str, int]

class Census:
    schools: int
    def __init__(
        self,
        networks: list[tuple[bytes, int, int]] = ...,
        header: Buffer | None = None,
        part: Buffer | None = None,
    ) -> None: ...
    def count(self, address: bytes, category: int, now: int) -> None: ...
