"""Server cookies against the vectors of RFC 9018, against SipHash in plain Python, and against clients that lie."""

from __future__ import annotations

import ipaddress

import dns.edns
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver._hot.cookies import Cookies
from tests.support.siphash import siphash

FIRST = bytes.fromhex("e5e973e5a6b2a43f48e7dc849e37bfcf")
ROLLED = bytes.fromhex("445536bcd2513298075a5d379663c962")
BEFORE = bytes.fromhex("dd3bdf9344b678b185a6f5cb60fca715")
CLIENT = bytes.fromhex("2464c4abcf10c957")
HERE = ipaddress.ip_address("198.51.100.100").packed
NOW = 1559731985


def query(cookie: bytes | None, *, question: bool = True) -> bytes:
    message = dns.message.make_query("www.ok.example", "A", id=0x4242, use_edns=0)
    message.use_edns(0, options=[dns.edns.GenericOption(10, cookie)] if cookie is not None else [])
    if not question:
        message.question = []
    return message.to_wire()


def weigh(cookies: Cookies, cookie: bytes | None, now: int = NOW, address: bytes = HERE) -> tuple[str, bytes]:
    state, option = cookies.weigh(query(cookie), address, now)
    if not option:
        return state, b""
    assert option[:4] == b"\0\x0a\0\x18"
    assert len(option) == 28
    return state, option[4:]


def made(client: bytes, now: int, address: bytes, secret: bytes, reserved: bytes = bytes(3)) -> bytes:
    """A whole cookie, by the text of RFC 9018 section 4."""
    head = b"\1" + reserved + now.to_bytes(4, "big")
    return client + head + siphash(secret, client + head + address).to_bytes(8, "little")


# RFC 9018, appendix A: secrets, address, time, what the client sent, what it is worth, what it gets.
VECTORS = {
    "A.1": ((FIRST,), "198.51.100.100", 1559731985, "2464c4abcf10c957", "client",
            "2464c4abcf10c957010000005cf79f111f8130c3eee29480"),
    "A.2": ((FIRST,), "198.51.100.100", 1559734385, "2464c4abcf10c957010000005cf79f111f8130c3eee29480", "renew",
            "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"),
    # The RFC calls it valid almost two hours after its stamp; section 4.3 does not.
    "A.3": ((FIRST,), "203.0.113.203", 1559734700, "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", "bad",
            "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"),
    "A.4": ((ROLLED, BEFORE), "2001:db8:220:1:59de:d0f4:8769:82b8", 1559741961,
            "22681ab97d52c298010000005cf7c57926556bd0934c72f8", "renew",
            "22681ab97d52c298010000005cf7c609a6bb79d16625507a"),
}  # fmt: skip


@pytest.mark.parametrize("name", VECTORS)
def test_the_vectors_of_rfc_9018(name: str) -> None:
    secrets, address, now, sent, state, answered = VECTORS[name]
    packed = ipaddress.ip_address(address).packed
    assert weigh(Cookies(secrets), bytes.fromhex(sent), now, packed) == (state, bytes.fromhex(answered))


def test_reserved_bytes_of_another_implementation_are_hashed_as_they_came() -> None:
    packed = ipaddress.ip_address("203.0.113.203").packed
    sent = bytes.fromhex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5")
    assert weigh(Cookies((FIRST,)), sent, 1559727985 + 60, packed) == ("valid", sent)
    assert weigh(Cookies((FIRST,)), sent[:9] + b"\0" + sent[10:], 1559727985 + 60, packed)[0] == "bad"


@pytest.mark.parametrize(
    ("age", "state"),
    [(0, "valid"), (1800, "valid"), (1801, "renew"), (3600, "renew"), (3601, "bad"), (-300, "valid"), (-301, "bad"),
     (1 << 31, "bad"), ((1 << 32) - 5, "valid")],
)  # fmt: skip
def test_a_cookie_ages(age: int, state: str) -> None:
    sent = made(CLIENT, (NOW - age) % (1 << 32), HERE, FIRST)
    found, answered = weigh(Cookies((FIRST,)), sent)
    assert found == state
    assert answered == (sent if state == "valid" else made(CLIENT, NOW, HERE, FIRST))


def test_the_stamp_survives_the_end_of_its_32_bits() -> None:
    sent = made(CLIENT, 0xFFFFFFFF, HERE, FIRST)
    assert weigh(Cookies((FIRST,)), sent, (1 << 32) + 10)[0] == "valid"


def test_a_secret_is_changed_in_three_steps_without_a_cookie_lost() -> None:
    old, added, changed, new = Cookies((FIRST,)), Cookies((FIRST, ROLLED)), Cookies((ROLLED, FIRST)), Cookies((ROLLED,))
    by_old, by_new = made(CLIENT, NOW, HERE, FIRST), made(CLIENT, NOW, HERE, ROLLED)
    assert weigh(added, by_old) == ("valid", by_old)
    # A sibling is a step ahead.
    assert weigh(added, by_new) == ("renew", by_old)
    assert weigh(changed, by_old) == ("renew", by_new)
    assert weigh(changed, by_new) == ("valid", by_new)
    assert weigh(new, by_old)[0] == weigh(old, by_new)[0] == "bad"


def test_a_query_without_a_cookie_gets_none() -> None:
    assert weigh(Cookies((FIRST,)), None) == ("none", b"")


@pytest.mark.parametrize("size", [16, 23, 25, 40])
def test_a_server_cookie_of_another_length_is_not_ours(size: int) -> None:
    sent = (made(CLIENT, NOW, HERE, FIRST) + bytes(16))[:size]
    assert weigh(Cookies((FIRST,)), sent) == ("bad", made(CLIENT, NOW, HERE, FIRST))


def test_a_cookie_of_another_version_is_not_ours() -> None:
    sent = made(CLIENT, NOW, HERE, FIRST)
    assert weigh(Cookies((FIRST,)), sent[:8] + b"\2" + sent[9:])[0] == "bad"


@given(st.data())
def test_a_cookie_counts_for_its_client_and_its_address_alone(data: st.DataObject) -> None:
    client = data.draw(st.binary(min_size=8, max_size=8))
    address = data.draw(st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)))
    secret = data.draw(st.binary(min_size=16, max_size=16))
    now = data.draw(st.integers(0, (1 << 32) - 1))
    cookies = Cookies((secret,))
    state, answered = weigh(cookies, client, now, address)
    assert (state, answered) == ("client", made(client, now, address, secret))
    assert weigh(cookies, answered, now, address) == ("valid", answered)
    # One bit changed, wherever: of the client's part, the server's, or the address.
    bit = data.draw(st.integers(0, len(answered) * 8 - 1))
    forged = bytearray(answered)
    forged[bit // 8] ^= 1 << bit % 8
    assert weigh(cookies, bytes(forged), now, address)[0] == "bad"
    other = bytearray(address)
    other[data.draw(st.integers(0, len(address) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert weigh(cookies, answered, now, bytes(other))[0] == "bad"


@pytest.mark.parametrize("secrets", [(), (b"short",), (FIRST,) * 4, (FIRST, bytes(17))])
def test_secrets_have_their_bounds(secrets: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match="secret"):
        Cookies(secrets)


@pytest.mark.parametrize("size", [0, 3, 5, 15, 17])
def test_an_address_has_one_of_two_lengths(size: int) -> None:
    with pytest.raises(ValueError, match="4 or 16"):
        Cookies((FIRST,)).weigh(query(CLIENT), bytes(size), NOW)


class TestWithoutAQuestion:
    """RFC 7873 section 5.4: a client asks for a cookie, or whether the one it has still holds."""

    @pytest.mark.parametrize(
        ("sent", "rcode"),
        [(CLIENT, "NOERROR"), (made(CLIENT, NOW, HERE, FIRST), "NOERROR"),
         (made(CLIENT, NOW, HERE, ROLLED), "BADCOOKIE"), (made(CLIENT, NOW - 4000, HERE, FIRST), "BADCOOKIE")],
    )  # fmt: skip
    def test_it_is_answered_with_a_cookie(self, sent: bytes, rcode: str) -> None:
        answer = dns.message.from_wire(Cookies((FIRST,)).bare(query(sent, question=False), HERE, NOW))
        assert answer.id == 0x4242
        assert dns.rcode.to_text(answer.rcode()) == rcode
        assert not answer.question
        assert not answer.answer + answer.authority + answer.additional
        assert answer.payload == 1232
        [option] = answer.options
        assert option.otype == dns.edns.OptionType.COOKIE
        assert option.to_wire() == made(CLIENT, NOW, HERE, FIRST)

    @pytest.mark.parametrize(
        "packet",
        [
            query(None, question=False),
            query(CLIENT),
            query(CLIENT[:5], question=False),
            query(CLIENT, question=False)[:-1],
            query(CLIENT, question=False) + b"\0",
            query(CLIENT, question=False)[:11] + b"\2" + query(CLIENT, question=False)[12:],
            query(CLIENT, question=False)[:7] + b"\1" + query(CLIENT, question=False)[8:],
            query(CLIENT, question=False)[:2] + b"\x81" + query(CLIENT, question=False)[3:],
            query(CLIENT, question=False)[:2] + b"\x29" + query(CLIENT, question=False)[3:],
            b"",
            bytes(12),
            bytes(5000),
        ],
    )
    def test_anything_else_is_not_answered_here(self, packet: bytes) -> None:
        assert Cookies((FIRST,)).bare(packet, HERE, NOW) == b""

    @given(st.binary(max_size=400))
    def test_whatever_comes(self, tail: bytes) -> None:
        packet = b"\x42\x42\1\0\0\0\0\0\0\0\0\1" + tail
        answer = Cookies((FIRST,)).bare(packet, HERE, NOW)
        if answer:
            assert dns.message.from_wire(answer).options
