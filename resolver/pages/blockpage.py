"""The block page: what a browser is shown that was led to the sinkhole.

Holds always: the hotline comes first; the name is shown only where it is listed for whoever asks; a reason is the law's
(451, RFC 7725) or the network's own (403), and where there is none, none is made up (404); nor is one told where an
emergency override lets the name pass.
"""

from __future__ import annotations

from http import HTTPStatus

from resolver.pages import words
from resolver.pages.facts import Reason
from resolver.pages.http import Response
from resolver.pages.settings import PagesSettings
from resolver.pages.templates import Markup, code, fill, link, rows, style, style_source
from resolver.pages.words import Saying

POLICY = (
    f"default-src 'none'; style-src {style_source()}; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

OWN = Saying("Nhà mạng không mở trang này", "Your network operator does not open this page")
BLOCKED = Saying("Trang này bị chặn để bảo vệ trẻ em", "This page is blocked to protect children")
UNKNOWN = Saying("Không có trang nào ở đây", "There is no page here")


LIFTED = Saying("Trang này hiện không bị chặn", "This page is not blocked at the moment")


def _heading(reason: Reason | None) -> Saying:
    if reason is None:
        return UNKNOWN
    return BLOCKED if reason.category is not None else OWN


def _lead(reason: Reason | None) -> Saying:
    if reason is None:
        return Saying(
            "Bạn được dẫn tới trang chặn, nhưng địa chỉ bạn hỏi không nằm trong danh sách chặn của mạng này. Có thể nó "
            "vừa được bỏ chặn: hãy thử lại sau ít phút.",
            "You were led to the block page, but the address you asked for is not on this network's list. It may have "
            "been taken off just now: try again in a few minutes.",
        )
    if reason.category is None:
        return Saying(
            "Địa chỉ này bị chặn theo quy định riêng của nhà mạng, không phải theo danh sách của cơ quan quản lý.",
            "This address is blocked by a rule of your operator's own, not by the authority's list.",
        )
    return Saying(
        "Mạng bạn đang dùng không mở địa chỉ này, vì nó nằm trong danh sách những trang gây hại cho trẻ em.",
        "The network that you use does not open this address, because it is on the list of sites that harm children.",
    )


LIFTED_LEAD = Saying(
    "Nhà mạng đang tạm thời cho mở địa chỉ này. Thiết bị của bạn còn nhớ câu trả lời cũ: hãy thử lại sau ít phút.",
    "Your network operator lets this address be opened for the time being. Your device still remembers an earlier "
    "answer: try again in a few minutes.",
)


def _rows(reason: Reason, *, english: bool) -> Markup:
    category = words.CATEGORIES[reason.category] if reason.category is not None else words.OWN
    wish = words.BY_ORDER if reason.mandated else words.by_profile(reason.profile)
    if reason.category is None:
        wish = words.BY_OPERATOR
    told: list[tuple[Saying, str]] = [
        (Saying("Địa chỉ", "Address"), code(reason.name)),
        (Saying("Lý do", "Reason"), category.en if english else category.vi),
        (Saying("Theo yêu cầu của", "At whose request"), wish.en if english else wish.vi),
    ]
    if reason.order is not None:
        told.append((Saying("Văn bản yêu cầu", "Order"), reason.order))
    return rows([(term.en if english else term.vi, value) for term, value in told])


def _appeal(settings: PagesSettings) -> tuple[Markup, Markup]:
    """Where a wrong block is told, in both languages."""
    if settings.appeal is None:
        return Markup("Hãy báo cho nhà mạng của bạn."), Markup("Tell your network operator.")
    vi, en = link(settings.appeal, "Gửi yêu cầu xem xét lại"), link(settings.appeal, "Ask for a review")
    return Markup(f"{vi}, và cho biết địa chỉ bị chặn."), Markup(f"{en}, and name the address that is blocked.")


def respond(reason: Reason | None, settings: PagesSettings, *, lifted: bool = False) -> Response:
    """The page for a name that is blocked for a reason, or for none that is known.

    Args:
        reason: Why.
        settings: Who tells it.
        lifted: An emergency override lets the name pass, whatever the reason.
    """
    if lifted:
        reason = None
    heading = LIFTED if lifted else _heading(reason)
    lead, (appeal_vi, appeal_en) = LIFTED_LEAD if lifted else _lead(reason), _appeal(settings)
    content = fill(
        "block.html",
        heading_vi=heading.vi,
        heading_en=heading.en,
        lead_vi=lead.vi,
        lead_en=lead.en,
        facts_vi=_rows(reason, english=False) if reason is not None else Markup(""),
        facts_en=_rows(reason, english=True) if reason is not None else Markup(""),
        appeal_vi=appeal_vi,
        appeal_en=appeal_en,
    )
    body = fill(
        "base.html",
        title=f"{heading.vi} · {heading.en}",
        style=style(),
        content=content,
        operator=operator(settings),
    )
    headers: tuple[tuple[str, str], ...] = (("Content-Security-Policy", POLICY),)
    if reason is None:
        status = HTTPStatus.NOT_FOUND
    elif not reason.mandated:
        status = HTTPStatus.FORBIDDEN
    else:
        status = HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS
        if settings.operator_url is not None:
            headers += (("Link", f'<{settings.operator_url}>; rel="blocked-by"'),)
    return Response(status, headers, body.encode())


def operator(settings: PagesSettings) -> str:
    """Who runs this resolver, with the way to them where it is known."""
    return link(settings.operator_url, settings.operator) if settings.operator_url is not None else settings.operator
