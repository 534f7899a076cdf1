"""What a probe raises on purpose."""

from __future__ import annotations

from lachan.errors import LachanError


class ProbeError(LachanError):
    """A probe cannot go on with what it was given."""


class AssignmentError(ProbeError):
    """An assignment is not one this probe will carry out; `problems` holds every reason found."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class JournalError(ProbeError):
    """The journal of assignments cannot be read or written."""


class UnavailableError(ProbeError):
    """The service cannot be reached or does not want to talk now; the same call may succeed later.

    `after` is how many seconds it asked to wait.
    """

    def __init__(self, text: str, after: float = 0.0) -> None:
        self.after = after
        super().__init__(text)


class RefusedError(ProbeError):
    """The service will never take what it was sent; sending the same again is useless."""
