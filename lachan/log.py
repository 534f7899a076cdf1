"""Structured logs on standard error: key=value lines for people, JSON for machines. English, never a client address."""

from __future__ import annotations

import logging
import sys
from typing import Literal

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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(component=component)


def get() -> structlog.typing.FilteringBoundLogger:
    """The logger of the calling module."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger
