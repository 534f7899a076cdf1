"""The page by which a school sees whether its network is protected, and the mark that tells it.

The mark lies under a fresh name below the page's own, which this resolver alone answers: where the browser finds it, it
asks this resolver; where it does not, what stands in the mark's place says so. Holds always: no script; what the page
says of a network it says of the one it was opened from; the address stays untold.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from http import HTTPStatus

from resolver.pages import words
from resolver.pages.blockpage import operator
from resolver.pages.facts import Facts
from resolver.pages.http import Response
from resolver.pages.settings import PageListen, PagesSettings
from resolver.pages.templates import Markup, both, code, escaped, fill, link, rows, style, style_source
from resolver.pages.words import Saying

NONCE_BYTES = 8
MARK_PATH = "/mark.svg"
SHOWN_MAX = 4

_NONCE = re.compile(r"[0-9a-f]{16}")
_DEFAULT_PORTS = {"http": 80, "https": 443}

PROTECTED = Saying("Mạng này được bảo vệ", "This network is protected")
TRIAL = Saying("Đúng bộ phân giải, đang chạy thử", "The right resolver, on a trial run")
LISTLESS = Saying("Đúng bộ phân giải, chưa có danh sách", "The right resolver, without a list yet")
UNPROTECTED = Saying("Mạng này chưa được bảo vệ", "This network is not protected")

_GOOD = ("#17683f", "M12 23.5 18 29.5 29 16.5")
_OPEN = ("#7a5200", "M20 13v12M20 32v.2")


@dataclass(frozen=True)
class Place:
    """Where a page was opened: by which scheme and port."""

    scheme: str
    port: int

    @classmethod
    def of(cls, listen: PageListen) -> Place:
        """That of a listener."""
        return cls(listen.scheme, listen.port)

    def origin(self, host: str) -> str:
        """The origin of a host that is opened the same way (RFC 6454)."""
        return f"{self.scheme}://{host}" + ("" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}")


def nonce_of(host: str, name: str) -> str | None:
    """The nonce in a mark's host, None where it is none."""
    nonce, _, rest = host.partition(".")
    return nonce if rest == name and _NONCE.fullmatch(nonce) else None


def _headers(sources: str, framed_by: str) -> tuple[tuple[str, str], ...]:
    policy = (
        f"default-src 'none'; style-src {style_source()}; img-src 'self'{sources}; base-uri 'none'; "
        f"form-action 'none'; frame-ancestors {framed_by}"
    )
    return (("Content-Security-Policy", policy),)


def _state(facts: Facts) -> Saying:
    if not facts.serial:
        return LISTLESS
    return TRIAL if facts.shadow else PROTECTED


def mark(facts: Facts, place: Place, name: str) -> Response:
    """The picture that only those see who ask this resolver."""
    state = _state(facts)
    ground, sign = _GOOD if facts.protecting else _OPEN
    body = fill("mark.svg", ground=ground, sign=sign, vi=state.vi, en=state.en)
    headers = _headers("", place.origin(name))
    return Response(HTTPStatus.OK, (("Content-Type", "image/svg+xml; charset=utf-8"), *headers), body.encode())


def _box(tone: str, heading: Saying, text: Markup) -> Markup:
    return Markup(f'<span class="result {tone}"><strong>{both(heading)}</strong>{text}</span>')


def _sought(origin: str) -> Markup:
    """The mark, and what is told where it is not found."""
    way = link(f"{origin}/", f"{origin}/")
    text = Markup(
        "<span>Thiết bị này không hỏi bộ phân giải của chúng tôi. Cách khắc phục ở bên dưới. Nếu trình duyệt của bạn "
        f"không hiện được hình, hãy mở {way}: mở được nghĩa là mạng được bảo vệ.</span>"
        '<span lang="en">This device does not ask our resolver; what to do stands below. If your browser shows no '
        "pictures, open the address above: if it opens, the network is protected.</span>"
    )
    fallback = _box("bad", UNPROTECTED, text)
    return Markup(f'<object type="image/svg+xml" data="{origin}{MARK_PATH}">{fallback}</object>')


def _found(facts: Facts) -> Markup:
    tone = "good" if facts.protecting else "open"
    text = Markup(
        '<span>Thiết bị này hỏi bộ phân giải của chúng tôi.</span><span lang="en">This device asks our resolver.</span>'
    )
    return _box(tone, _state(facts), text)


def _term(vi: str, en: str) -> Markup:
    return both(Saying(vi, en))


def _blocked(facts: Facts, profile: str, now: int) -> Saying:
    said = words.listing([words.CATEGORIES[category] for category in facts.categories(profile, now)])
    return Saying(
        f"{said.vi}; và những gì văn bản yêu cầu chặn cho mọi người",
        f"{said.en}; and whatever an order blocks for everybody",
    )


def _list(facts: Facts, now: int) -> Saying:
    if not facts.serial:
        return words.NO_LIST
    if not facts.published_at:
        return Saying(f"số {facts.serial}", f"number {facts.serial}")
    age = words.ago(now - facts.published_at)
    return Saying(f"số {facts.serial}, ban hành {age.vi}", f"number {facts.serial}, published {age.en}")


def _facts(facts: Facts, profile: str | None, now: int) -> Markup:
    pairs = [(_term("Mức lọc", "Filter"), both(words.profile(profile)))]
    if profile is not None:
        pairs.append((_term("Nội dung bị chặn", "What is blocked"), both(_blocked(facts, profile, now))))
    blocking = words.BLOCKING if facts.protecting else words.COUNTING if facts.shadow else words.NOTHING
    pairs.append((_term("Đang chặn", "Blocking"), both(blocking)))
    if passing := facts.passing(now):
        pairs.append((_term("Ngoại lệ khẩn cấp", "Emergency exceptions"), both(words.passing(passing))))
    pairs.append((_term("Danh sách đang áp dụng", "List in force"), both(_list(facts, now))))
    if facts.edge.file.blocklist.sync is not None:
        checked = words.ago(now - facts.checked_at) if facts.checked_at else words.NEVER
        pairs.append((_term("Hỏi bản mới lần cuối", "Last asked for a newer one"), both(checked)))
    return rows(pairs)


def _resolvers(facts: Facts) -> tuple[Markup, Markup]:
    """Where devices are to ask, in both languages."""
    file = facts.edge.file
    listened = [ipaddress.ip_address(one.address) for one in file.listen if one.protocol == "dns"]
    reached = [str(one) for one in listened if not (one.is_unspecified or one.is_loopback)]
    told = [code(address) for address in (file.local.addresses or reached)[:SHOWN_MAX]]
    if not told:
        return Markup("địa chỉ mà nhà mạng cho biết"), Markup("the address that your operator tells you")
    together = Markup(", ".join(told))
    return together, together


def _encrypted(facts: Facts) -> tuple[Markup, Markup]:
    """By which names devices may ask encrypted, in both languages."""
    file = facts.edge.file
    listens = [one for one in file.listen if one.protocol == "dot"]
    names = {name: words.profile(profile) for one in listens for name, profile in one.profiles.server_names.items()}
    if listens and file.local.name is not None:
        names.setdefault(file.local.name, words.BY_NETWORK)
    if not names:
        return Markup(""), Markup("")
    shown = list(names.items())[:SHOWN_MAX]
    vi = ", ".join(f"{code(name)} (mức lọc: {escaped(profile.vi)})" for name, profile in shown)
    en = ", ".join(f"{code(name)} (filter: {escaped(profile.en)})" for name, profile in shown)
    return Markup(f"; hoặc đặt DNS riêng tư thành {vi}"), Markup(f"; or set private DNS to {en}")


def _help(settings: PagesSettings) -> tuple[Markup, Markup]:
    """Whom a school asks, in both languages."""
    if settings.help is None:
        return Markup("Hãy liên hệ nhà mạng."), Markup("Get in touch with your network operator.")
    return link(settings.help, "Liên hệ với chúng tôi."), link(settings.help, "Get in touch with us.")


def respond(facts: Facts, settings: PagesSettings, client: str, now: int, origin: str | None) -> Response:
    """The page.

    Args:
        facts: What it tells.
        settings: Who tells it.
        client: The address that it is opened from.
        now: Seconds since 1970.
        origin: Where the mark is to be looked for; None where the page was opened there, which shows that it is found.
    """
    resolvers_vi, resolvers_en = _resolvers(facts)
    encrypted_vi, encrypted_en = _encrypted(facts)
    help_vi, help_en = _help(settings)
    content = fill(
        "check.html",
        result=_sought(origin) if origin is not None else _found(facts),
        facts=_facts(facts, facts.profile_of(client), now),
        resolvers_vi=resolvers_vi,
        resolvers_en=resolvers_en,
        encrypted_vi=encrypted_vi,
        encrypted_en=encrypted_en,
        help_vi=help_vi,
        help_en=help_en,
    )
    body = fill(
        "base.html",
        title="Mạng của tôi có được bảo vệ không? · Is my network protected?",
        style=style(),
        content=content,
        operator=operator(settings),
    )
    sources = f"; object-src {origin}; frame-src {origin}" if origin is not None else ""
    return Response(HTTPStatus.OK, _headers(sources, "'none'"), body.encode())
