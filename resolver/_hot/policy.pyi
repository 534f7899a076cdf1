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
        profile_actions: list[dict[int, int]] = ...,
        ever: list[int] = ...,
        names: list[tuple[bytes, str, int, int]] = ...,
        shielded: list[bool] = ...,
    ) -> None: ...
    @property
    def epoch(self) -> int: ...
    @property
    def snapshot(self) -> Snapshot | None: ...
    @property
    def shields(self) -> bool: ...
    @property
    def profiles(self) -> tuple[str, ...]: ...
