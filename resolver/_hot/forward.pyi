from resolver._hot.loops import Loops
from resolver._hot.routes import Routes
from resolver._hot.upstreams import Upstreams

class Forwarder(Upstreams):
    def __init__(
        self,
        timeout_ms: int,
        stream_ms: int,
        routes: Routes | None = None,
        mixed_case: bool = True,
        loops: Loops | None = None,
    ) -> None: ...
    @property
    def outstanding(self) -> int: ...
