"""The secrets that make and prove DNS cookies (RFC 9018).

Holds always: every member of an anycast set that is given the same file makes the same cookies; a secret is read from a
file that others on this machine cannot read, or derived from this machine's own, and is never logged.
"""

from __future__ import annotations

import hmac
import os
import re
from pathlib import Path

from lachan.config import ConfigPath, Settings
from resolver._hot.cookies import Cookies
from resolver.errors import ResolverError

SECRETS_MAX = 3
FILE_MAX_BYTES = 4096
PERIOD_SECONDS = 7 * 86400
_SECRET = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)


class CookieError(ResolverError):
    """A file of secrets cannot be used."""


class CookieSettings(Settings):
    """DNS cookies.

    The file holds a secret a line, 32 hexadecimal digits each. The first makes cookies, the others are accepted too: to
    change it, add the new one behind the old one at every member, then move it to the front, then drop the old one.
    """

    enabled: bool = True
    secret_file: ConfigPath | None = None


def read_secrets(path: Path) -> tuple[bytes, ...]:
    """The secrets in a file.

    Raises:
        CookieError: It cannot be read, others can read it, or it holds something else.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(FILE_MAX_BYTES + 1).decode("ascii", "replace")
    except OSError as error:
        raise CookieError(f"{path}: {error.strerror}") from error
    if mode & 0o007:
        raise CookieError(f"{path}: everybody on this machine may read it; chmod o-rwx")
    lines = [
        (number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()
        if not line.lstrip().startswith("#")
    ]  # fmt: skip
    wrong = [f"line {number}" for number, line in lines if not _SECRET.fullmatch(line)]
    if wrong:
        raise CookieError(f"{path}: 32 hexadecimal digits are expected in {', '.join(wrong[:8])}")
    if not 1 <= len(lines) <= SECRETS_MAX:
        raise CookieError(f"{path}: {len(lines)} secrets; 1 to {SECRETS_MAX} are possible")
    return tuple(bytes.fromhex(line) for _, line in lines)


def derived_secrets(master: bytes, now: float) -> tuple[bytes, ...]:
    """Secrets of a machine that shares them with no other: this week's, and the last one's, still accepted.

    Args:
        master: Random bytes that stay the same as long as the machine's workers live.
        now: Seconds since 1970.
    """
    period = int(now) // PERIOD_SECONDS
    return tuple(
        hmac.digest(master, b"lachan/cookie/v1\0%d" % number, "sha256")[:16] for number in (period, period - 1)
    )


def make(settings: CookieSettings, master: bytes, now: float) -> Cookies | None:
    """What the packet path proves cookies with, or None where cookies are off.

    Due again after a change of the file, and within a week where there is none.

    Raises:
        CookieError: The file of secrets cannot be used.
    """
    if not settings.enabled:
        return None
    return Cookies(read_secrets(settings.secret_file) if settings.secret_file else derived_secrets(master, now))
