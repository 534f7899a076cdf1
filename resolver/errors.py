"""The one root of the edge's own errors."""

from __future__ import annotations

from lachan.errors import LachanError


class ResolverError(LachanError):
    """The edge cannot do what it was asked to."""
