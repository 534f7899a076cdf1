"""The console's composition root: routes, languages, errors.

Holds always: pages only read; whatever storage raises becomes a page that says so, with status 503; a reader without
JavaScript, cookies or a preference of language sees everything, in Vietnamese.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from typing import Any, TypeVar
from urllib.parse import urlencode

import fastapi
import jinja2
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.staticfiles import StaticFiles

from compliance_api.domain.parties.organisation import Label
from compliance_api.usecases.console.activity import ActivityReader
from compliance_api.usecases.console.overview import Overview, OverviewReader, PlaceView
from compliance_api.usecases.findings.casework import CaseworkReader
from compliance_api.web import api, findings, pages, tongue, words
from compliance_api.web.headers import SecurityHeaders
from compliance_api.web.settings import ConsoleSettings
from compliance_api.web.tongue import Tongue
from lachan import log
from lachan.errors import LachanError
from lachan.tls import IDENTIFIER

HOTLINE = "111"
"""The national child protection hotline."""
FINDING = re.compile(r"[0-9a-f]{32}", re.ASCII)
COOKIE = "lang"
COOKIE_SECONDS = 365 * 86400
RETRY_AFTER_S = 10
MAX_STATIC_BYTES = 1 << 20

_log = log.get()
T = TypeVar("T")


class ReadingError(LachanError):
    """The verdicts cannot be read now."""


def _now() -> datetime:
    return datetime.now(UTC)


def _static_versions() -> dict[str, str]:
    folder = resources.files("compliance_api.web") / "static"
    return {
        item.name: hashlib.sha256(item.read_bytes()[:MAX_STATIC_BYTES]).hexdigest()[:12] for item in folder.iterdir()
    }


class Console:
    """What the routes share."""

    def __init__(
        self,
        reader: OverviewReader,
        settings: ConsoleSettings,
        clock: Callable[[], datetime],
        casework: CaseworkReader | None,
    ) -> None:
        self._reader = reader
        self._casework = casework
        self._settings = settings
        self._clock = clock
        self._tongues = tongue.load()
        self._environments = {code: self._environment(one) for code, one in self._tongues.items()}

    def _environment(self, speaker: Tongue) -> jinja2.Environment:
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("compliance_api.web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        environment.install_gettext_callables(  # type: ignore[attr-defined]  # added by the i18n extension
            speaker.gettext, speaker.ngettext, newstyle=True
        )
        environment.globals |= {
            "tongue": speaker,
            "versions": _static_versions(),
            "settings": self._settings,
            "hotline": HOTLINE,
            "languages": {"vi": "Tiếng Việt", "en": "English"},
        }
        environment.filters |= {"iso": tongue.iso}
        return environment

    async def _read(self, reading: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._settings.read_timeout):
                return await reading
        except Exception as error:  # the one boundary: every way in which storage can fail looks the same from here
            _log.error("the verdicts cannot be read", error=type(error).__name__)
            raise ReadingError("the verdicts cannot be read") from error

    def tongue(self, request: Request) -> Tongue:
        """The language to answer `request` in."""
        return self._tongues[
            tongue.choose(
                request.query_params.get("lang"), request.cookies.get(COOKIE), request.headers.get("accept-language")
            )
        ]

    def page(self, request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
        """Renders a template in the reader's language."""
        speaker = self.tongue(request)
        asked = request.query_params.get("lang")

        def address(path: str, **query: str) -> str:
            # An explicit choice travels with the links, for readers who keep no cookies.
            given = ({"lang": speaker.language} if asked in self._tongues else {}) | query
            return f"{path}?{urlencode(given)}" if given else path

        kept = {name: value for name, value in request.query_params.items() if name == "jurisdiction"}
        switches = {code: f"{request.url.path}?{urlencode({**kept, 'lang': code})}" for code in self._tongues}
        body = (
            self._environments[speaker.language]
            .get_template(template)
            .render(values, address=address, switches=switches, now=self._clock())
        )
        response = HTMLResponse(
            body, status, headers={"Content-Language": speaker.language, "Vary": "Accept-Language, Cookie"}
        )
        if asked in self._tongues and request.cookies.get(COOKIE) != asked:
            response.set_cookie(
                COOKIE,
                speaker.language,
                max_age=COOKIE_SECONDS,
                httponly=True,
                samesite="lax",
                secure=request.url.scheme == "https",
            )
        return response

    async def overview(self) -> Overview:
        """The front page's content.

        Raises:
            ReadingError: Storage does not answer.
        """
        return await self._read(self._reader.overview())

    async def _places(self, organisation: str) -> Sequence[PlaceView]:
        return await self._read(self._reader.places(organisation))

    async def verdicts(self) -> Overview:
        """Every verdict with its reasons and their evidence."""
        return await self._read(self._reader.verdicts())

    async def check(self) -> None:
        """Whether verdicts can be read.

        Raises:
            ReadingError: They cannot.
        """
        await self._read(self._reader.check())

    async def front(self, request: Request) -> Response:
        """Who filters and who does not."""
        shown = pages.front_page(await self.overview(), self._clock(), self.tongue(request))
        return self.page(request, "front.html", {"page": shown})

    async def activity(self, request: Request, organisation: str, reader: ActivityReader) -> Response:
        """What one operator's nodes reported, by the hour and by the day."""
        places = await self._places(organisation)
        wanted = request.query_params.get("jurisdiction")
        place = next((one for one in places if wanted in {None, one.jurisdiction}), None)
        shown = await self._read(reader.activity(organisation, place.jurisdiction, self._clock())) if place else None
        if place is None or shown is None:
            raise HTTPException(404)
        name = self.tongue(request).label(place.display_name)
        values = {"activity": shown, "name": name, "organisation": organisation, "jurisdiction": place.jurisdiction}
        return self.page(request, "activity.html", values)

    async def operator(self, request: Request, organisation: str) -> Response:
        """One operator: findings, evidence, reports."""
        jurisdiction = request.query_params.get("jurisdiction")
        if not IDENTIFIER.fullmatch(organisation) or (jurisdiction and not IDENTIFIER.fullmatch(jurisdiction)):
            raise HTTPException(404)
        places = await self._places(organisation)
        if jurisdiction is None and places:
            jurisdiction = places[0].jurisdiction
        if jurisdiction is None:
            raise HTTPException(404)
        detail = await self._read(self._reader.operator_detail(organisation, jurisdiction))
        if detail is None:
            raise HTTPException(404)
        shown = pages.operator_page(detail, self._clock(), self.tongue(request))
        others = [one for one in places if one.jurisdiction != jurisdiction]
        return self.page(
            request, "operator.html", {"page": shown, "others": others, "rates": words.rates(self.tongue(request))}
        )

    async def _names(self) -> Mapping[str, Label]:
        return await self._read(self._reader.names())

    async def findings(self, request: Request) -> Response:
        """Every finding, with what is late."""
        if self._casework is None:
            raise HTTPException(404)
        listed = await self._read(self._casework.listing(self._clock()))
        rows = findings.list_page(listed.cases, await self._names(), self._clock(), self.tongue(request))
        return self.page(request, "findings.html", {"rows": rows, "late": listed.late, "total": listed.total})

    async def finding(self, request: Request, identifier: str) -> Response:
        """One finding with its history."""
        if self._casework is None or not FINDING.fullmatch(identifier):
            raise HTTPException(404)
        case = await self._read(self._casework.case(identifier))
        if case is None:
            raise HTTPException(404)
        row = findings.case_row(case, await self._names(), self._clock(), self.tongue(request))
        return self.page(request, "finding.html", {"row": row})


def _wants_json(request: Request) -> bool:
    return request.url.path.startswith("/api/") or request.url.path == "/health"


def _add_findings(app: fastapi.FastAPI, console: Console) -> None:
    """The pages of findings and what is done about them."""

    @app.api_route("/findings", methods=["GET", "HEAD"])
    async def all_findings(request: Request) -> Response:
        return await console.findings(request)

    @app.api_route("/findings/{identifier}", methods=["GET", "HEAD"])
    async def one_finding(request: Request, identifier: str) -> Response:
        return await console.finding(request, identifier)


def create(
    reader: OverviewReader,
    settings: ConsoleSettings | None = None,
    clock: Callable[[], datetime] = _now,
    sums: ActivityReader | None = None,
    casework: CaseworkReader | None = None,
) -> fastapi.FastAPI:
    """The console as an ASGI application.

    Args:
        reader: Where verdicts are read.
        settings: Bounds and texts.
        clock: The present, aware.
        sums: Where sums by the hour and the day are read; without it there is no page of them.
        casework: Where findings and their steps are read; without it there are no pages of them.
    """
    console = Console(reader, settings or ConsoleSettings(), clock, casework)
    # No generated documentation pages: they load script from another host.
    app = fastapi.FastAPI(title="Lá Chắn", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(SecurityHeaders)
    app.mount("/static", StaticFiles(packages=[("compliance_api.web", "static")]))

    @app.api_route("/", methods=["GET", "HEAD"])
    async def front(request: Request) -> Response:
        return await console.front(request)

    @app.api_route("/operators/{organisation}", methods=["GET", "HEAD"])
    async def operator(request: Request, organisation: str) -> Response:
        return await console.operator(request, organisation)

    if sums is not None:

        @app.api_route("/operators/{organisation}/activity", methods=["GET", "HEAD"])
        async def activity(request: Request, organisation: str) -> Response:
            return await console.activity(request, organisation, sums)

    _add_findings(app, console)

    @app.api_route("/api/v1/verdicts", methods=["GET", "HEAD"])
    async def verdicts() -> Response:
        return JSONResponse(api.verdicts(await console.verdicts()))

    @app.api_route("/health", methods=["GET", "HEAD"])
    async def health() -> Response:
        await console.check()
        return JSONResponse({"status": "ok"})

    @app.exception_handler(ReadingError)
    async def unreadable(request: Request, error: ReadingError) -> Response:
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        if _wants_json(request):
            return JSONResponse({"status": "unavailable", "error": str(error)}, 503, headers)
        response = console.page(request, "error.html", {"status": 503}, 503)
        response.headers.update(headers)
        return response

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        if _wants_json(request):
            return JSONResponse({"error": error.detail}, error.status_code, error.headers)
        response = console.page(request, "error.html", {"status": error.status_code}, error.status_code)
        response.headers.update(error.headers or {})
        return response

    return app
