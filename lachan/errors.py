"""The one root of every error this project raises on purpose."""

from __future__ import annotations


class LachanError(Exception):
    """Something outside went wrong in a way that was foreseen; the message names the place and is fit to show."""
