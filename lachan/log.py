"""Structured logs on standard error: key=value lines for people, JSON for machines. English, never a client address.

Holds always: a line that cannot be written is lost, and nothing else: no service ends because its log's disk is full.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Literal, TextIO, cast

# structlog takes rich along where it is installed, for tracebacks in colours: a part of each start and five megabytes
# in every worker, for what is never shown.
_hidden = "rich" not in sys.modules
if _hidden:
    sys.modules["rich"] = None  # type: ignore[assignment] # an import of it fails, as where it is not installed
import structlog  # noqa: E402 # after what it must not find

if _hidden:
    del sys.modules["rich"]

from lachan.config import Settings  # noqa: E402 # as above


class LogSettings(Settings):
    """How a process logs."""

    form: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class _Lines:
    """Where lines go."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def configure(component: str, form: Literal["text", "json"] = "text", level: str = "info") -> None:
    """Sets up logging for a process; `component` stands in every line."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        # What a logger asks of its file is these two.
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Lines(sys.stderr))),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(component=component)


def get() -> structlog.typing.FilteringBoundLogger:
    """The logger of the calling module."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger
