from blocklist_sync.artifact._snapshot import Snapshot

class Policy:
    def __init__(
        self,
        epoch: int,
        snapshot: Snapshot | None,
        profiles: list[tuple[str, list[int], bool]],
        actions: dict[int, int],
        networks: list[tuple[bytes, int, int]],
        sinkhole: tuple[bytes, bytes],
        shadow: bool,
        refuse: bool,
        key: bytes,
    ) -> None: ...
    @property
    def epoch(self) -> int: ...
    @property
    def snapshot(self) -> Snapshot | None: ...
    @property
    def profiles(self) -> tuple[str, ...]: ...
