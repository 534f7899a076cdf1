"""From a request to a page: the host decides.

The page's own name is the school's page, a nonce below it the mark; every other host came by the sinkhole. Holds
always: every answer carries the same refusals (kept by nobody, indexed by nobody, sent on to nobody); what is counted
is which page and which category, never a name or a client.
"""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus

from resolver.pages import blockpage, checkpage
from resolver.pages.checkpage import Place
from resolver.pages.facts import Facts, Reason
from resolver.pages.http import Request, Response
from resolver.pages.settings import PagesSettings
from resolver.pages.templates import icon

NO_CATEGORY = "none"
OWN_CATEGORY = "own"
ICON_PATH = "/favicon.ico"

_HTML = ("Content-Type", "text/html; charset=utf-8")
_ALWAYS = (
    ("Content-Language", "vi, en"),
    ("Cache-Control", "no-store"),
    ("X-Robots-Tag", "noindex, nofollow"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)


class Router:
    """Every page, and how often each was shown."""

    def __init__(self, settings: PagesSettings) -> None:
        self._settings = settings
        self.shown: Counter[tuple[str, str]] = Counter()
        """By page (`block`, `check`, `mark`) and category."""

    def answer(self, request: Request, facts: Facts, place: Place, client: str, now: int, nonce: str) -> Response:
        """What a request is answered.

        Args:
            request: The request.
            facts: The edge as it is.
            place: Where it came in.
            client: The address that it came from.
            now: Seconds since 1970.
            nonce: 16 hexadecimal digits that nobody has been told before.
        """
        name = self._settings.name
        host = request.host or ""
        if name is not None and (host == name or host.endswith(f".{name}")):
            response = self._check(request, facts, place, client, now, nonce)
        elif request.path == ICON_PATH:
            response = Response(HTTPStatus.OK, (("Content-Type", "image/svg+xml"),), icon())
        else:
            reason = facts.reason(request.host, facts.profile_of(client), now)
            lifted = reason is not None and facts.lifted(reason.name, now)
            self.shown["block", _label(None if lifted else reason)] += 1
            response = blockpage.respond(reason, self._settings, lifted=lifted)
        return finished(response)

    def _check(self, request: Request, facts: Facts, place: Place, client: str, now: int, nonce: str) -> Response:
        name, host = self._settings.name, request.host
        assert name is not None and host is not None  # noqa: S101, PT018 # the caller has looked
        if request.method not in ("GET", "HEAD"):
            return Response(HTTPStatus.METHOD_NOT_ALLOWED, (("Allow", "GET, HEAD"),))
        if request.path == ICON_PATH:
            return Response(HTTPStatus.OK, (("Content-Type", "image/svg+xml"),), icon())
        found = checkpage.nonce_of(host, name) is not None
        if found and request.path == checkpage.MARK_PATH:
            self.shown["mark", NO_CATEGORY] += 1
            return checkpage.mark(facts, place, name)
        if request.path != "/" or not (found or host == name):
            return Response(HTTPStatus.NOT_FOUND)
        self.shown["check", NO_CATEGORY] += 1
        origin = None if found else place.origin(f"{nonce}.{name}")
        return checkpage.respond(facts, self._settings, client, now, origin)


def _label(reason: Reason | None) -> str:
    if reason is None:
        return NO_CATEGORY
    return reason.category.label if reason.category is not None else OWN_CATEGORY


def finished(response: Response) -> Response:
    """A response with what every one carries."""
    told = {name.lower() for name, _ in response.headers}
    kind = (_HTML,) if response.body and "content-type" not in told else ()
    return Response(response.status, (*kind, *_ALWAYS, *response.headers), response.body)
