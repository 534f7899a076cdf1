KINDS: dict[str, int]
FLAGS: dict[str, int]
WAYS: tuple[str, ...]

class Locals:
    def __init__(
        self,
        nodes: list[tuple[bytes, int, int, int, int, int, int, list[tuple[int, int, bytes, int, bytes]], bytes]],
    ) -> None: ...
    @property
    def count(self) -> int: ...
    def lookup(self, query: bytes, profile: int = 0, limit: int = 65535) -> tuple[str, bytes]: ...
