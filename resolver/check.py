"""Looks at every file of TLS that a configuration names, before anything is started.

Holds always: what could not be used at run time is an error at start, with its path in the configuration; at run time
it is borne, since an edge that serves must go on.
"""

from __future__ import annotations

from lachan.config import ConfigError
from resolver.listeners import certificate
from resolver.settings import Edge
from resolver.upstream import trust


def check(edge: Edge, source: str) -> None:
    """Looks at the files; `source` names the configuration.

    Raises:
        lachan.config.ConfigError: With every problem found.
    """
    problems = [*certificate.problems(edge), *trust.problems(edge.file.upstreams)]
    if problems:
        raise ConfigError(source, problems)
