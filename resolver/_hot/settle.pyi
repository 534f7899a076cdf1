from resolver._hot.cache import Cache
from resolver._hot.census import Census
from resolver._hot.counters import Counters
from resolver._hot.forward import Forwarder
from resolver._hot.guard import Guard
from resolver._hot.locals import Locals
from resolver._hot.policy import Policy
from resolver._hot.tally import Tally

class Settler:
    def __init__(
        self,
        policy: Policy,
        here: Locals,
        cache: Cache,
        counters: Counters,
        tally: Tally,
        guard: Guard,
        forwarder: Forwarder,
        ttl_max: int,
        ttl_min: int = 0,
        ttl_negative: int = 3600,
    ) -> None: ...
    def count_by(self, census: Census) -> None: ...
    def use(self, policy: Policy) -> None: ...
