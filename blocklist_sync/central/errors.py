"""The root of what the list authority's side refuses."""

from __future__ import annotations

from lachan.errors import LachanError


class CentralError(LachanError):
    """A source, a release folder, a key or a repository cannot be used; the message says where and why."""
