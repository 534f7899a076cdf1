"""Search engines that answer as for children when they are asked by another name.

Holds always: an alias leads to a name that the engine itself publishes for this; the engines' addresses are its own
business and stand nowhere here.
"""

from __future__ import annotations

from typing import Literal

from lachan.config import Settings

# The country domains that Google lists as its own, by what stands in front of the country.
_GOOGLE = {
    "": "com cat ad ae al am as at az ba be bf bg bi bj bs bt by ca cd cf cg ch ci cl cm cn cv cz de "
    "dj dk dm dz ee es fi fm fr ga ge gg gl gm gr gy hn hr ht hu ie im iq is it je jo kg ki kz "
    "la li lk lt lu lv md me mg mk ml mn mu mv mw ne nl no nr nu pl pn ps pt ro rs ru rw sc se "
    "sh si sk sm sn so sr st td tg tl tm tn to tt vu ws",
    "com.": "af ag ar au bd bh bn bo br bz co cu cy do ec eg et fj gh gi gt hk jm kh kw lb ly mm mt mx "
    "my na ng ni np om pa pe pg ph pk pr py qa sa sb sg sl sv tj tr tw ua uy vc vn",
    "co.": "ao bw ck cr id il in jp ke kr ls ma mz nz th tz ug uk uz ve vi za zm zw",
}
GOOGLE_NAMES = tuple(f"www.google.{start}{end}" for start, ends in _GOOGLE.items() for end in ends.split())
GOOGLE_SAFE = "forcesafesearch.google.com"

BING_NAMES = ("www.bing.com", "bing.com")
BING_SAFE = "strict.bing.com"

DUCKDUCKGO_NAMES = ("duckduckgo.com", "www.duckduckgo.com", "start.duckduckgo.com")
DUCKDUCKGO_SAFE = "safe.duckduckgo.com"

YOUTUBE_NAMES = (
    "www.youtube.com",
    "m.youtube.com",
    "youtubei.googleapis.com",
    "youtube.googleapis.com",
    "www.youtube-nocookie.com",
)
YOUTUBE_SAFE = {"strict": "restrict.youtube.com", "moderate": "restrictmoderate.youtube.com"}

ALIAS_TTL = 300


class SafeSearch(Settings):
    """Which engines are asked by their name for children, for which profiles."""

    profiles: tuple[str, ...] = ("school",)
    google: bool = True
    bing: bool = True
    duckduckgo: bool = True
    youtube: Literal["strict", "moderate", "off"] = "strict"

    def aliases(self) -> dict[str, str]:
        """Each name and what it is an alias of."""
        chosen: dict[str, str] = {}
        if self.google:
            chosen |= dict.fromkeys(GOOGLE_NAMES, GOOGLE_SAFE)
        if self.bing:
            chosen |= dict.fromkeys(BING_NAMES, BING_SAFE)
        if self.duckduckgo:
            chosen |= dict.fromkeys(DUCKDUCKGO_NAMES, DUCKDUCKGO_SAFE)
        if self.youtube != "off":
            chosen |= dict.fromkeys(YOUTUBE_NAMES, YOUTUBE_SAFE[self.youtube])
        return chosen
