KINDS: tuple[str, ...]
EXACT: int
SUBTREE: int
MOST: int

class OwnNames:
    def __init__(self, key0: int, key1: int, names: list[tuple[bytes, str, int, int]]) -> None: ...
