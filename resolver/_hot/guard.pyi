from resolver._hot.cookies import Cookies
from resolver._hot.limits import Limits, Outstanding
from resolver._hot.registrable import Registrable

class Guard:
    def __init__(
        self,
        cookies: Cookies | None,
        limits: Limits,
        clients: Outstanding,
        domains: Outstanding,
        registrable: Registrable,
        misses_per_domain: int,
    ) -> None: ...
    def use(self, cookies: Cookies | None) -> None: ...
