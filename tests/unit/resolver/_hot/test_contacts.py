"""Whom to turn to, beside an extended error: told to those who ask for it over TLS, and to nobody else."""

from __future__ import annotations

import dns.edns
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklist_sync.artifact.categories import Category
from resolver._hot.contacts import Contacts
from resolver._hot.cookies import Cookies
from tests.support.blocklist import OFFER, entry
from tests.support.engine import SCHOOL, TCP, UDP, Rig, open_guard, policy, rig
from tests.support.packets import question, read, reply

DOT, DOH = 3, 4
TEXTS = {16: b'{"c":["tel:+84123"]}', 17: '{"o":"Mẫu"}'.encode()}
COOKIE = dns.edns.GenericOption(10, bytes(8))
PADDING = dns.edns.GenericOption(12, b"")
# As the draft's clients ask: an extended error that says nothing.
WANTED = dns.edns.EDEOption(0)


@pytest.fixture
def own() -> Rig:
    made = rig(policy(entry("bad.example"), entry("offered.example", Category.SCAM, order=OFFER)), upstreams=1)
    made.engine.refer_to(Contacts(TEXTS))
    return made


def asking(name: str, *options: dns.edns.Option, do: bool = False) -> bytes:
    message = dns.message.from_wire(question(name))
    message.use_edns(0, dns.flags.DO if do else 0, 1232, options=list(options))
    return message.to_wire()


def errors(answer: bytes | None) -> list[tuple[int, str | None]]:
    return [(one.code, one.text) for one in read(answer).options if isinstance(one, dns.edns.EDEOption)]


@pytest.mark.parametrize("transport", [DOT, DOH])
def test_who_asks_over_tls_is_told_by_kind_of_rule(own: Rig, transport: int) -> None:
    censored = own.ask(asking("www.bad.example", WANTED), transport=transport)
    assert errors(censored) == [(16, TEXTS[16].decode())]
    filtered = own.ask(asking("offered.example", WANTED, do=True), transport=transport, client=SCHOOL)
    assert errors(filtered) == [(17, TEXTS[17].decode())]
    # The rest is what anybody is told.
    plain = read(own.ask(asking("www.bad.example"), transport=transport))
    told = read(censored)
    assert (told.rcode(), told.authority, told.answer) == (plain.rcode(), plain.authority, plain.answer)


@pytest.mark.parametrize("transport", [UDP, TCP])
def test_what_could_be_forged_on_its_way_is_not_told(own: Rig, transport: int) -> None:
    assert own.ask(asking("bad.example", WANTED), transport=transport) == own.ask(
        asking("bad.example"), transport=transport
    )


def test_who_does_not_ask_is_told_the_code_alone(own: Rig) -> None:
    assert errors(own.ask(asking("bad.example"), transport=DOT)) == [(16, None)]
    assert errors(own.ask(asking("bad.example", PADDING), transport=DOT)) == [(16, None)]


def test_an_error_without_a_contact_stays_as_it_is(own: Rig) -> None:
    refused = question("ok.example", rd=False)
    asked = dns.message.from_wire(refused)
    asked.use_edns(0, options=[WANTED])
    assert errors(own.ask(asked.to_wire(), transport=DOT))[0][0] == 18
    own.engine.refer_to(Contacts({}))
    assert own.ask(asking("bad.example", WANTED), transport=DOT) == own.ask(asking("bad.example"), transport=DOT)


def test_cookie_and_padding_come_behind_it() -> None:
    own = rig(policy(entry("bad.example")), guard=open_guard(cookies=Cookies((bytes(16),))))
    own.engine.refer_to(Contacts(TEXTS))
    answer = own.ask(asking("bad.example", WANTED, COOKIE, PADDING), transport=DOT)
    assert answer is not None
    assert len(answer) == 468
    assert errors(answer) == [(16, TEXTS[16].decode())]
    assert [int(option.otype) for option in read(answer).options] == [15, 10, 12]


def test_a_listed_target_that_comes_late_is_told_of_as_well(own: Rig) -> None:
    def lead(asked: bytes) -> bytes:
        return reply(asked, "www.ok.example. 300 IN CNAME x.bad.example.", "x.bad.example. 300 IN A 192.0.2.1")

    assert own.ask(asking("www.ok.example", WANTED, PADDING), transport=DOT) is None
    token = own.token
    asked, source = own.upstreams[0].receive()
    own.upstreams[0].send(lead(asked), source)
    late = own.wait(token)
    assert errors(late) == [(16, TEXTS[16].decode())]
    assert len(late) == 468


@given(st.binary(max_size=200))
def test_what_is_no_answer_of_ours_stays_as_it_is(data: bytes) -> None:
    assert Contacts({}).told(data) == data
    grown = Contacts(dict.fromkeys((15, 16, 17), b"x" * 1024)).told(data)
    assert len(grown) in (len(data), len(data) + 1024)


def test_an_answer_that_would_be_too_long_stays_as_it_is() -> None:
    base = bytearray(question("bad.example"))
    base[2] |= 0x80
    room = 65535 - len(base) - 6
    filler = b"\0\x0c" + (room - 4).to_bytes(2, "big") + bytes(room - 4)
    base[-2:] = (6 + room).to_bytes(2, "big")
    whole = bytes(base) + b"\0\x0f\0\2\0\x10" + filler
    assert len(whole) == 65535
    assert Contacts({16: b"x"}).told(whole) == whole
    assert Contacts({16: b""}).told(whole) == whole


@pytest.mark.parametrize(("code", "text"), [(14, b""), (18, b""), (16, b"x" * 1025)])
def test_what_cannot_go_with_an_error_is_refused(code: int, text: bytes) -> None:
    with pytest.raises(ValueError, match=str(code)):
        Contacts({code: text})
