"""What of a configuration can change while an edge runs, and what needs a restart.

Workers are replaced one after another, so what only they use can change. What the supervisor itself is built on cannot:
sockets bound before privileges were dropped, memory that all workers share, its own jobs. Holds always: a configuration
is taken as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable

from lachan.config import ConfigError, Problem
from resolver.settings import Edge

_REASON = "cannot change while the edge runs; restart it for that"

# What stays as it is for the life of a supervisor: the path that is told, and what is compared.
_FIXED: tuple[tuple[str, Callable[[Edge], object]], ...] = (
    ("organisation", lambda edge: edge.file.organisation),
    ("node", lambda edge: edge.file.node),
    ("state_dir", lambda edge: edge.file.state_dir),
    ("runtime_dir", lambda edge: edge.file.runtime_dir),
    ("user", lambda edge: edge.file.user),
    ("workers", lambda edge: edge.workers),
    # Certificates and profiles of a listener may change, its place may not.
    ("listen", lambda edge: sorted((listen.address, listen.port, listen.protocol) for listen in edge.file.listen)),
    # A day's sums are kept by a school's number.
    ("schools", lambda edge: edge.file.schools),
    ("cache.size", lambda edge: edge.file.cache.size),
    ("rate_limit.prefixes", lambda edge: edge.file.rate_limit.table_bytes),
    ("blocklist.sync", lambda edge: edge.file.blocklist.sync),
    ("blocklist.snapshot", lambda edge: edge.file.blocklist.snapshot),
    ("blocklist.shadow", lambda edge: edge.file.blocklist.shadow),
    ("report", lambda edge: edge.file.report),
    ("metrics", lambda edge: edge.file.metrics),
    ("pages.listen", lambda edge: edge.file.pages.listen if edge.file.pages is not None else None),
)


def check(old: Edge, new: Edge, source: str) -> None:
    """Refuses a configuration that only a restart can put in force.

    Args:
        old: The one in force.
        new: The one to come.
        source: What errors call it: its path.

    Raises:
        ConfigError: With everything that differs and must not.
    """
    problems = [Problem(path, _REASON) for path, part in _FIXED if part(old) != part(new)]
    # Counts are kept by the number of a profile: a window's must mean the same from its begin to its end.
    if new.profiles[: len(old.profiles)] != old.profiles:
        problems.append(Problem("profiles", f"one in force is gone or stands elsewhere, which {_REASON}"))
    if problems:
        raise ConfigError(source, problems)
