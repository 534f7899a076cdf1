"""What the pages call things, in Vietnamese and in English."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from blocklist_sync.artifact.categories import Category
from resolver.values import DEFAULT_PROFILE


@dataclass(frozen=True)
class Saying:
    """One thing in both languages."""

    vi: str
    en: str


CATEGORIES: Mapping[Category, Saying] = {
    Category.CSAM: Saying("hình ảnh, video xâm hại tình dục trẻ em", "images or videos of child sexual abuse"),
    Category.SEXUAL_EXPLOITATION: Saying("bóc lột tình dục trẻ em", "sexual exploitation of children"),
    Category.PORNOGRAPHY: Saying("nội dung khiêu dâm", "pornography"),
    Category.GAMBLING: Saying("cờ bạc, cá cược", "gambling"),
    Category.VIOLENCE: Saying("bạo lực", "violence"),
    Category.DRUGS: Saying("ma túy, chất gây nghiện", "drugs"),
    Category.SELF_HARM: Saying("tự gây hại, tự tử", "self-harm and suicide"),
    Category.SCAM: Saying("lừa đảo", "scams"),
}

PROFILES: Mapping[str, Saying] = {
    DEFAULT_PROFILE: Saying("mức chung cho mọi người", "the one for everybody"),
    "school": Saying("trường học", "school"),
}

NOBODY = Saying(
    "không thuộc mạng nào mà bộ phân giải này phục vụ", "none: your network is not among those this resolver serves"
)
OWN = Saying("quy định riêng của nhà mạng", "a rule of the operator's own")
BY_OPERATOR = Saying("nhà mạng của bạn", "your network operator")
BY_NETWORK = Saying("theo mạng của thiết bị", "that of the device's network")
BY_ORDER = Saying("cơ quan quản lý, cho tất cả mọi người", "the authority, for everybody")
NEVER = Saying("chưa lần nào", "never")
NO_LIST = Saying("chưa có danh sách nào", "there has never been a list")
BLOCKING = Saying("có: tên trong danh sách bị chặn", "yes: listed names are blocked")
NOTHING = Saying("không: chưa có danh sách nào", "no: there is no list yet")
COUNTING = Saying("không: đang chạy thử, chỉ đếm mà chưa chặn", "no: a trial run, which counts and blocks nothing")

_UNITS = ((86400, "ngày", "day"), (3600, "giờ", "hour"), (60, "phút", "minute"), (1, "giây", "second"))


def profile(name: str | None) -> Saying:
    """A profile as people call it; one that the operator invented keeps its name."""
    if name is None:
        return NOBODY
    return PROFILES.get(name, Saying(name, name))


def passing(count: int) -> Saying:
    """How many names pass for now."""
    english = "1 entry lets listed names pass" if count == 1 else f"{count} entries let listed names pass"
    return Saying(f"{count} mục đang tạm thời được cho qua", f"{english} for the time being")


def by_profile(name: str) -> Saying:
    """Whose wish it is that is not the law's."""
    word = profile(name)
    return Saying(f"mức lọc mà mạng này đã chọn ({word.vi})", f"the filter that this network chose ({word.en})")


def ago(seconds: int) -> Saying:
    """How long ago, by the largest unit."""
    seconds = max(0, seconds)
    for size, vi, en in _UNITS:
        count = seconds // size
        if count:
            return Saying(f"{count} {vi} trước", f"{count} {en}{'s' if count > 1 else ''} ago")
    return Saying("vừa xong", "just now")


def listing(items: list[Saying]) -> Saying:
    """Several things in one sentence."""
    return Saying("; ".join(item.vi for item in items), "; ".join(item.en for item in items))
