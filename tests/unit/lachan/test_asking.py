from __future__ import annotations

from lachan.asking import matches
from lachan.message import NOERROR, Edns, query
from lachan.reply import Reply, respond


def test_matching_is_about_the_whole_question() -> None:
    asked = query("a.example", 65, id=77, edns=Edns())
    assert matches(asked, respond(asked, Reply()))
    assert not matches(asked, respond(query("A.example", 65, id=77), Reply()))
    assert matches(asked, respond(query("A.example", 65, id=77), Reply()), keep_case=False)
    # 65 is "A": folding the whole question would fold the type.
    assert not matches(asked, respond(query("a.example", 97, id=77), Reply()), keep_case=False)
    assert not matches(asked, respond(query("a.example", 65, id=77, qclass=3), Reply(rcode=NOERROR)))
    assert not matches(asked, respond(query("a.b.example", 65, id=77), Reply()))
