"""What is kept, for how long, for whom; and that memory which somebody else wrote half is never an answer."""

from __future__ import annotations

import random

import dns.flags
import dns.message
import dns.rcode
import pytest

from resolver._hot.cache import Cache
from tests.support.blocklist import entry
from tests.support.engine import SECRET, SLOT, TCP, UDP, Memory, Rig, mapped, policy, rig
from tests.support.packets import error_code, error_codes, question, raw, read, record, records, reply, soa

NAME = "www.ok.example"
LINE = f"{NAME}. 20 IN A 192.0.2.1"


def keep(own: Rig, query: bytes, *lines: str, **more: object) -> bytes:
    return own.exchange(query, lambda asked: reply(asked, *lines, **more))  # type: ignore[arg-type] # passed on


def misses(own: Rig, query: bytes) -> bool:
    """Whether the cache has no answer to a query."""
    return read(own.onlooker.ask(query)).rcode() == dns.rcode.SERVFAIL


@pytest.fixture
def own() -> Rig:
    return rig()


def test_ttls_are_counted_down_each_by_itself(own: Rig) -> None:
    keep(own, question(NAME), f"{NAME}. 300 IN CNAME a.test.", "a.test. 20 IN A 192.0.2.1",
         authority=["test. 600 IN NS b.test."], additional=["b.test. 5 IN A 192.0.2.2"])  # fmt: skip
    own.age(7)
    answer = read(own.ask(question(NAME)))
    assert records(answer) == [f"{NAME}. 293 IN CNAME a.test.", "a.test. 13 IN A 192.0.2.1"]
    assert [rrset.ttl for rrset in (*answer.authority, *answer.additional)] == [593, 0]


def test_an_answer_ends_with_its_shortest_record(own: Rig) -> None:
    keep(own, question(NAME), LINE, LINE.replace("20", "300"), authority=["ok.example. 40 IN NS b.test."])
    own.age(19)
    assert [rrset.ttl for rrset in read(own.ask(question(NAME))).answer] == [1, 281]
    own.age(1)
    assert misses(own, question(NAME))


def test_a_ttl_of_zero_is_told_and_not_kept(own: Rig) -> None:
    assert records(read(keep(own, question(NAME), LINE.replace("20", "0")))) == [LINE.replace("20", "0")]
    assert misses(own, question(NAME))
    assert own.count("cache_hits") == 0


def test_what_is_fresher_takes_the_place_of_what_was_there(own: Rig) -> None:
    keep(own, question(NAME), LINE)
    own.age(20)
    keep(own, question(NAME), LINE.replace(".1", ".2"))
    assert records(read(own.ask(question(NAME)))) == [LINE.replace(".1", ".2")]
    assert len(own.memory.slots()) == 1


def test_hits_and_misses_are_counted(own: Rig) -> None:
    keep(own, question(NAME), LINE)
    own.ask(question(NAME))
    own.ask(question(NAME), transport=UDP)
    assert [own.count(name) for name in ("cache_hits", "cache_misses", "forwarded")] == [2, 1, 1]
    assert (own.queries(TCP), own.queries(UDP)) == (2, 1)


# Negative answers and failures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rcode", ["NXDOMAIN", "NOERROR"])
@pytest.mark.parametrize(("ttl", "minimum", "kept"), [(300, 15, 15), (15, 300, 15), (9000, 9000, 3600), (15, 0, 0)])
def test_a_negative_answer_is_kept_as_its_soa_says(own: Rig, rcode: str, ttl: int, minimum: int, kept: int) -> None:
    keep(own, question(NAME), authority=[soa("ok.example.", ttl, minimum)], rcode=rcode)
    if kept:
        [slot] = own.memory.slots()
        assert slot.expires_at - slot.stored_at == kept
        answer = read(own.ask(question(NAME)))
        assert (dns.rcode.to_text(answer.rcode()), str(answer.authority[0].name)) == (rcode, "ok.example.")
    else:
        assert misses(own, question(NAME))
    # Of the name itself one type was denied, no other.
    assert misses(own, question(NAME, "AAAA"))


@pytest.mark.parametrize("rcode", ["NXDOMAIN", "NOERROR"])
def test_a_chain_may_stand_before_a_denial(own: Rig, rcode: str) -> None:
    keep(own, question(NAME), f"{NAME}. 300 IN CNAME a.test.", authority=[soa("test.", 300, 15)], rcode=rcode)
    [slot] = own.memory.slots()
    assert slot.expires_at - slot.stored_at == 15
    assert len(read(own.ask(question(NAME))).answer) == 1


@pytest.mark.parametrize("rcode", ["NXDOMAIN", "NOERROR"])
def test_a_denial_without_an_soa_is_not_kept(own: Rig, rcode: str) -> None:
    keep(own, question(NAME), authority=["ok.example. 300 IN NS b.test."], rcode=rcode)
    assert misses(own, question(NAME))
    keep(own, question("b.ok.example"), "b.ok.example. 300 IN CNAME a.test.", rcode=rcode)
    assert misses(own, question("b.ok.example"))


def test_a_cname_asked_for_is_no_denial(own: Rig) -> None:
    keep(own, question(NAME, "CNAME"), f"{NAME}. 20 IN CNAME a.test.")
    assert records(read(own.ask(question(NAME, "CNAME")))) == [f"{NAME}. 20 IN CNAME a.test."]


def test_a_signature_alone_is_a_denial(own: Rig) -> None:
    signature = record(46, b"\0\5\5\2\0\0\1\x2c" + bytes(10) + b"\0" + bytes(8))
    own.exchange(question(NAME, do=True), lambda asked: raw(asked, record(5, b"\4test\0"), signature))
    assert misses(own, question(NAME, do=True))
    own.exchange(question(NAME, "RRSIG", do=True), lambda asked: raw(asked, signature))
    assert not misses(own, question(NAME, "RRSIG", do=True))


def test_a_failure_is_kept_for_five_seconds(own: Rig) -> None:
    answer = read(keep(own, question(NAME), rcode="SERVFAIL", ede=6))
    assert answer.rcode() == dns.rcode.SERVFAIL
    own.age(4)
    for edns, codes in ((True, [13]), (False, [])):
        again = read(own.ask(question(NAME, edns=edns)))
        assert (again.rcode(), error_codes(again)) == (dns.rcode.SERVFAIL, codes)
    own.age(1)
    assert own.ask(question(NAME)) is None


def test_a_failure_that_goes_on_is_kept_ever_longer(own: Rig) -> None:
    kept = []
    for _ in range(9):
        answer = read(own.exchange(question(NAME), lambda asked: reply(asked, rcode="SERVFAIL")))
        # It is a failure, not an old answer.
        assert (answer.rcode(), error_code(answer)) == (dns.rcode.SERVFAIL, None)
        [slot] = own.memory.slots()
        kept.append(slot.expires_at - slot.stored_at)
        own.age(kept[-1])
    assert kept == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    # Long after, it is a new one; and an answer ends the row.
    own.age(1000)
    own.exchange(question(NAME), lambda asked: reply(asked, rcode="SERVFAIL"))
    [slot] = own.memory.slots()
    assert slot.expires_at - slot.stored_at == 5


@pytest.mark.parametrize("rcode", ["FORMERR", "NOTIMP", "REFUSED", "YXDOMAIN", "NOTAUTH"])
def test_other_response_codes_are_told_and_not_kept(own: Rig, rcode: str) -> None:
    answer = read(keep(own, question(NAME), authority=[soa("ok.example.")], rcode=rcode))
    assert dns.rcode.to_text(answer.rcode()) == rcode
    assert misses(own, question(NAME))


# Keys -----------------------------------------------------------------------------------------------------------------


def test_the_key_is_name_type_do_and_cd(own: Rig) -> None:
    kinds = [
        (name, rdtype, do, cd)
        for name in (NAME, "b.ok.example", "ww.wok.example")
        for rdtype in ("A", "TXT")
        for do in (False, True)
        for cd in (False, True)
    ]
    for number, (name, rdtype, do, cd) in enumerate(kinds):
        data = f"192.0.2.{number}" if rdtype == "A" else f'"{number}"'
        keep(own, question(name, rdtype, do=do, cd=cd), f"{name}. 20 IN {rdtype} {data}")
    for number, (name, rdtype, do, cd) in enumerate(kinds):
        data = f"192.0.2.{number}" if rdtype == "A" else f'"{number}"'
        answer = read(own.ask(question(name, rdtype, do=do, cd=cd)))
        assert records(answer) == [f"{name}. 20 IN {rdtype} {data}"]
        assert (bool(answer.flags & dns.flags.CD), bool(answer.ednsflags & dns.flags.DO)) == (cd, do)
    assert len(own.memory.slots()) == len(kinds)


def test_each_client_gets_its_own_letters_id_and_opt(own: Rig) -> None:
    keep(own, question("wWw.Ok.Example", id=1), LINE)
    for number, name in enumerate(("WWW.OK.EXAMPLE", "www.ok.example", "Www.oK.eXaMpLe")):
        for edns in (False, True):
            answer = own.ask(question(name, id=number + 7, edns=edns))
            message = read(answer)
            assert (message.id, str(message.question[0].name), message.edns) == (number + 7, f"{name}.", edns - 1)
            assert str(message.answer[0].name) == f"{name}."
    assert own.upstreams[0].waiting() == []


def test_profiles_share_what_is_not_listed() -> None:
    own = rig(policy(networks=[("192.0.2.0/24", 1), ("127.0.0.0/8", 0)]))
    keep(own, question(NAME), LINE)
    assert records(read(own.ask(question(NAME), client=mapped("192.0.2.5")))) == [LINE]


def test_workers_share_what_each_of_them_kept(own: Rig) -> None:
    other = rig(memory=own.memory)
    assert misses(other, question(NAME))
    keep(own, question(NAME), LINE)
    assert records(read(other.ask(question(NAME)))) == [LINE]
    assert other.cache.capacity == own.cache.capacity


# Sizes ----------------------------------------------------------------------------------------------------------------


def sized(asked: bytes, size: int) -> bytes:
    """An answer of so many octets."""
    room = size - (len(asked) - 11)
    parts = []
    while room:
        # Of what is left, at least a record's head, or nothing, must remain.
        part = min(room, 400) if room - min(room, 400) >= 12 or room <= 400 else room - 12
        parts.append(record(65280, bytes(part - 12), ttl=20))
        room -= part
    answer = raw(asked, *parts)
    assert len(answer) == size
    return answer


@pytest.mark.parametrize(
    ("told", "edns", "limit"),
    [(0, False, 512), (0, True, 512), (511, True, 512), (512, True, 512), (800, True, 800), (1232, True, 1232),
     (1233, True, 1232), (4096, True, 1232), (65535, True, 1232)],
)  # fmt: skip
def test_a_datagram_is_no_larger_than_its_client_takes(told: int, edns: bool, limit: int) -> None:
    fits = rig()
    for own, size in ((fits, limit - 11 * edns), (rig(), limit - 11 * edns + 1)):
        own.exchange(question(NAME, "TYPE65280"), lambda asked, size=size: sized(asked, size))  # type: ignore[misc]
        query = question(NAME, "TYPE65280", edns=edns, size=told)
        answer = own.ask(query, transport=UDP)
        assert answer is not None
        message = read(answer) if own is fits else dns.message.from_wire(answer, raise_on_truncation=False)
        assert bool(message.flags & dns.flags.TC) == (own is not fits)
        assert bool(message.answer) == (own is fits)
        assert (message.edns, len(message.question)) == (0 if edns else -1, 1)
        if own is fits:
            assert len(answer) == limit
        whole = own.ask(query, transport=TCP)
        assert whole is not None
        assert len(whole) == size + 11 * edns
        assert not read(whole).flags & dns.flags.TC


@pytest.mark.parametrize("size", [100, 190, 191, 192, 193, 900, 958, 959, 960, 961, 3900, 4029, 4030, 4031, 4032, 4033])
def test_every_size_is_kept_whole_up_to_the_largest_class(own: Rig, size: int) -> None:
    query = question(NAME, "TYPE65280", edns=False)
    first = own.exchange(query, lambda asked: sized(asked, size))
    assert len(first) == size
    records_held = int.from_bytes(first[6:8], "big")
    fits = SLOT.size + 16 + size + 2 * records_held <= 4096
    assert len(own.memory.slots()) == fits
    if fits:
        assert own.ask(query) == first
    else:
        assert misses(own, query)


@pytest.mark.parametrize("size", [4500, 20000, 60000])
def test_what_is_larger_is_told_and_not_kept(own: Rig, size: int) -> None:
    query = question(NAME, "TYPE65280", edns=False)
    assert len(own.exchange(query, lambda asked: sized(asked, size))) == size
    assert own.memory.slots() == []


@pytest.mark.parametrize(("number", "kept"), [(128, True), (129, False)])
def test_an_answer_of_more_records_than_are_counted_down_is_not_kept(own: Rig, number: int, kept: bool) -> None:
    query = question(NAME, edns=False)
    first = own.exchange(query, lambda asked: raw(asked, *[record(1, bytes(4), ttl=20)] * number))
    assert len(read(first).answer) == number
    assert misses(own, query) != kept


def test_an_answer_that_outgrew_its_class_is_found() -> None:
    # A failure is small; what comes after it may be large. The failure must not stand before it for good.
    own = rig()
    query = question(NAME, "TYPE65280", edns=False)
    own.exchange(query, lambda asked: reply(asked, rcode="SERVFAIL"))
    own.age(5)
    first = own.exchange(query, lambda asked: sized(asked, 1200))
    assert own.ask(query) == first


# Room -----------------------------------------------------------------------------------------------------------------


def test_memory_is_bounded_and_nothing_beyond_it_is_touched() -> None:
    own = rig(memory=Memory(1 << 20, beyond=4096))
    own.memory.map[1 << 20 :] = b"\xa5" * 4096
    sizes = (100, 500, 3000)
    for number in range(1500):
        query = question(f"n{number}.ok.example", "TYPE65280", edns=False)
        own.exchange(query, lambda asked, size=sizes[number % 3]: sized(asked, size))  # type: ignore[misc]
    assert own.memory.map[1 << 20 :] == b"\xa5" * 4096
    assert 0 < own.cache.entries(0) <= own.cache.capacity
    # Of the largest class there is room for sixteen; the newest is there.
    assert sum(slot.room == 4096 for slot in own.memory.slots()) == 16
    assert not misses(own, question("n1499.ok.example", "TYPE65280", edns=False))
    assert misses(own, question("n2.ok.example", "TYPE65280", edns=False))


def test_what_is_asked_again_outlives_what_is_not() -> None:
    own = rig()
    popular = question("popular.ok.example", "TYPE65280", edns=False)
    own.exchange(popular, lambda asked: sized(asked, 3000))
    for number in range(60):
        assert not misses(own, popular)
        query = question(f"n{number}.ok.example", "TYPE65280", edns=False)
        own.exchange(query, lambda asked: sized(asked, 3000))
    assert not misses(own, popular)


def test_everything_can_be_forgotten(own: Rig) -> None:
    keep(own, question(NAME), LINE)
    now = own.memory.slots()[0].stored_at
    assert (own.cache.entries(now), own.cache.entries(now + 20)) == (1, 0)
    own.cache.flush(b"\0", subtree=True)
    assert own.cache.entries(now) == 0
    assert misses(own, question(NAME))


def test_a_cache_has_a_least_size() -> None:
    with pytest.raises(ValueError, match="1048575 bytes"):
        Cache(bytearray((1 << 20) - 1), SECRET, 0)
    with pytest.raises(BufferError):
        Cache(bytes(1 << 20), SECRET, 0)


# Torn writes ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def torn() -> tuple[Rig, bytes]:
    """A worker without upstreams over a cache with one answer, and the query for it."""
    writer = rig()
    keep(writer, question(NAME), LINE.replace("20", "300"), f"{NAME}. 300 IN A 192.0.2.2")
    # What is torn must not be put right.
    writer.memory.held = False
    return writer.onlooker, question(NAME)


def test_an_answer_with_any_bit_turned_is_never_told(torn: tuple[Rig, bytes]) -> None:
    own, query = torn
    [slot] = own.memory.slots()
    # Not under the checksum: who wrote it, what policy said of it, and what pads.
    free = {*range(4, 8), *range(24, 32), *range(42, 48)}
    for offset in range(slot.payload.stop - slot.at):
        place = slot.at + offset
        was = own.memory.map[place]
        for bit in range(8):
            own.memory.map[place] = was ^ 1 << bit
            assert misses(own, query) != (offset in free), (offset, bit)
        own.memory.map[place] = was
    assert not misses(own, query)


def test_an_answer_under_an_odd_number_is_never_told(torn: tuple[Rig, bytes]) -> None:
    own, query = torn
    [slot] = own.memory.slots()
    slot.sequence += 1
    slot.write()
    assert misses(own, query)
    slot.sequence += 1
    slot.write()
    assert not misses(own, query)
    # The same bytes under another number are another write's: the checksum knows.
    slot.sequence += 2
    slot.write(valid=False)
    assert misses(own, query)


@pytest.mark.parametrize("sizes", [(0, 0xFFFF), (0xFFFF, 0), (4096, 0), (0, 2000), (300, 300)])
def test_sizes_beyond_the_slot_are_not_believed(torn: tuple[Rig, bytes], sizes: tuple[int, int]) -> None:
    own, query = torn
    [slot] = own.memory.slots()
    slot.packet_size, slot.ttl_count = sizes
    slot.write(valid=False)
    assert misses(own, query)


def test_an_answer_from_the_future_is_not_told(torn: tuple[Rig, bytes]) -> None:
    own, query = torn
    [slot] = own.memory.slots()
    slot.stored_at += 1000
    slot.expires_at += 1000
    slot.write()
    assert misses(own, query)


def test_another_names_answer_under_this_names_tag_is_not_told(torn: tuple[Rig, bytes]) -> None:
    own, query = torn
    [slot] = own.memory.slots()
    at = slot.payload.start + 1
    own.memory.map[at : at + 3] = b"xxx"
    slot.write()
    assert misses(own, query)


def test_a_slot_that_somebody_is_writing_is_left_to_them() -> None:
    own = rig()
    keep(own, question(NAME), LINE)
    [slot] = own.memory.slots()
    slot.sequence += 1
    slot.write()
    before = own.memory.map[slot.payload]
    # Told, though it cannot be kept.
    assert records(read(keep(own, question(NAME), LINE.replace(".1", ".9")))) == [LINE.replace(".1", ".9")]
    assert own.memory.map[slot.payload] == before
    assert misses(own, question(NAME))


def test_a_writer_that_died_costs_an_entry_and_not_its_row() -> None:
    own = rig()

    def fill(first: int) -> None:
        for number in range(64):
            query = question(f"n{first + number}.ok.example", "TYPE65280", edns=False)
            own.exchange(query, lambda asked: sized(asked, 3000))

    fill(0)
    held = own.memory.slots()
    assert len(held) == 16
    # One of the eight ways in each of the two rows was being written; what it held has expired since.
    for slot in (held[0], held[8]):
        slot.sequence += 1
        slot.expires_at = slot.stored_at
        slot.write()
    fill(100)
    found = own.memory.slots()
    assert found[0].name == held[0].name
    for row in (found[1:8], found[9:]):
        assert any(slot.name.startswith(b"\4n1") for slot in row)


# Beyond its time ------------------------------------------------------------------------------------------------------


def test_an_expired_answer_serves_where_no_upstream_answers() -> None:
    own = rig(upstreams=1, timeout_ms=20)
    own.exchange(question(NAME), lambda asked: reply(asked, f"{NAME}. 300 IN A 192.0.2.1"))
    own.age(301)
    query = question(NAME.upper(), edns=True)
    assert own.ask(query) is None
    stale = read(own.wait(own.token))
    assert (stale.rcode(), error_code(stale)) == (dns.rcode.NOERROR, 3)
    assert records(stale) == [f"{NAME.upper()}. 30 IN A 192.0.2.1"]
    # It is known now that nobody answers: for a while nobody waits for that again.
    asked = len(own.upstreams[0].waiting())
    again = read(own.ask(query))
    assert error_code(again) == 3
    assert asked
    assert own.upstreams[0].waiting() == []


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "FORMERR", "NOTIMP"])
def test_an_expired_answer_serves_where_the_upstream_fails(rcode: str) -> None:
    own = rig(upstreams=1)
    own.exchange(question(NAME), lambda asked: reply(asked, f"{NAME}. 300 IN A 192.0.2.1"))
    own.age(301)
    stale = read(own.exchange(question(NAME, edns=True), lambda asked: reply(asked, rcode=rcode)))
    assert (stale.rcode(), error_code(stale), records(stale)) == (dns.rcode.NOERROR, 3, [f"{NAME}. 30 IN A 192.0.2.1"])


def test_clients_do_not_wait_for_the_last_try_where_an_expired_answer_is_kept() -> None:
    own = rig(upstreams=1, timeout_ms=450)
    own.exchange(question(NAME), lambda asked: reply(asked, f"{NAME}. 300 IN A 192.0.2.1"))
    own.age(301)
    assert own.ask(question(NAME, edns=True)) is None
    assert error_code(read(own.wait(own.token))) == 3
    # The question itself is still on its way, and its answer is taken.
    assert own.engine.outstanding == 1
    *_, (asked, at) = own.upstreams[0].waiting()
    own.upstreams[0].send(reply(asked, f"{NAME}. 300 IN A 192.0.2.2"), at)
    own.until(lambda: not own.engine.outstanding)
    assert records(read(own.ask(question(NAME)))) == [f"{NAME}. 300 IN A 192.0.2.2"]


def test_an_answer_too_far_beyond_its_time_is_gone() -> None:
    own = rig(upstreams=1, timeout_ms=20, stale=60)
    own.exchange(question(NAME), lambda asked: reply(asked, f"{NAME}. 300 IN A 192.0.2.1"))
    own.age(360)
    assert own.ask(question(NAME)) is None
    assert read(own.wait(own.token)).rcode() == dns.rcode.SERVFAIL


def test_a_listed_target_is_blocked_in_an_expired_answer_too() -> None:
    own = rig(policy(entry("bad.example")), upstreams=1, timeout_ms=20)
    own.engine.use(policy(epoch=2))
    chain = [f"{NAME}. 300 IN CNAME www.bad.example.", "www.bad.example. 300 IN A 192.0.2.1"]
    own.exchange(question(NAME), lambda asked: reply(asked, *chain))
    own.age(301)
    own.engine.use(policy(entry("bad.example"), epoch=3))
    assert own.ask(question(NAME)) is None
    answer = read(own.wait(own.token))
    assert (answer.rcode(), records(answer)) == (dns.rcode.NXDOMAIN, [f"{NAME}. 30 IN CNAME www.bad.example."])


@pytest.mark.parametrize("silent", [False, True])
def test_a_failure_to_renew_an_answer_early_forgets_nothing(silent: bool) -> None:
    own = rig(upstreams=1, timeout_ms=20 if silent else 20_000)
    own.exchange(question(NAME), lambda asked: reply(asked, f"{NAME}. 300 IN A 192.0.2.1"))
    for _ in range(4):
        own.ask(question(NAME))
    own.age(280)
    assert own.ask(question(NAME)) is not None
    if not silent:
        asked, at = own.upstreams[0].receive()
        own.upstreams[0].send(reply(asked, rcode="SERVFAIL"), at)
    own.until(lambda: not own.engine.outstanding)
    assert records(read(own.ask(question(NAME)))) == [f"{NAME}. 20 IN A 192.0.2.1"]
    # Nor when its time has come: it serves as an expired one, and nobody waits for what is known to fail.
    own.age(25)
    old = read(own.ask(question(NAME, edns=True)))
    assert (records(old), error_code(old)) == ([f"{NAME}. 30 IN A 192.0.2.1"], 3)


def test_a_popular_answer_is_asked_for_again_before_it_expires() -> None:
    own = rig(upstreams=1)
    own.exchange(question(NAME), lambda asked: reply(asked, f"{NAME}. 300 IN A 192.0.2.1"))
    for _ in range(4):
        own.ask(question(NAME))
    assert own.upstreams[0].waiting() == []
    own.age(280)
    assert records(read(own.ask(question(NAME)))) == [f"{NAME}. 20 IN A 192.0.2.1"]
    [(asked, at)] = own.upstreams[0].waiting()
    own.upstreams[0].send(reply(asked, f"{NAME}. 300 IN A 192.0.2.2"), at)
    own.until(lambda: not own.engine.outstanding)
    assert records(read(own.ask(question(NAME)))) == [f"{NAME}. 300 IN A 192.0.2.2"]


@pytest.mark.parametrize(
    ("name", "subtree", "left"),
    [
        (b"\1a\2ok\7example\0", False, {"ok.example", "b.a.ok.example", "xa.ok.example"}),
        (b"\1a\2ok\7example\0", True, {"ok.example", "xa.ok.example"}),
        (b"\2ok\7example\0", True, set()),
        (b"\0", True, set()),
        (b"\0", False, {"ok.example", "a.ok.example", "b.a.ok.example", "xa.ok.example"}),
    ],
)
def test_a_name_or_what_is_below_it_can_be_forgotten(name: bytes, subtree: bool, left: set[str]) -> None:
    own = rig(upstreams=1)
    names = ("ok.example", "a.ok.example", "b.a.ok.example", "xa.ok.example")
    for one in names:
        own.exchange(question(one), lambda asked, one=one: reply(asked, f"{one}. 300 IN A 192.0.2.1"))
    assert own.cache.flush(name, subtree) == len(names) - len(left)
    assert {one for one in names if not misses(own, question(one))} == left


# Against a model ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_a_hit_is_what_was_last_put_there(seed: int) -> None:
    source = random.Random(seed)
    workers = [rig(upstreams=1)]
    workers.append(rig(upstreams=1, memory=workers[0].memory))
    # What is asked, to what was answered and when that ends.
    model: dict[tuple[str, str, bool], tuple[int, int]] = {}
    clock = hits = 0
    for _ in range(1500):
        own = source.choice(workers)
        name = f"n{min(int(source.expovariate(1 / 40)), 300)}.ok.example"
        key = name, source.choice(["A", "TYPE65280"]), source.random() < 0.3
        query = question(name, key[1], do=key[2], edns=True)
        answer = own.ask(query)
        told = model.get(key)
        # A miss asks the upstream; so does a hit on a popular answer that is about to expire.
        for asked, at in [own.upstreams[0].receive()] if answer is None else own.upstreams[0].waiting():
            serial, ttl = source.getrandbits(32), source.choice([1, 5, 20])
            fill = bytes(source.choice([4, 150, 600, 2500]))
            own.upstreams[0].send(raw(asked, record(65281, serial.to_bytes(4, "big") + fill, ttl=ttl)), at)
            own.until(lambda own=own: not own.engine.outstanding)
            model[key] = serial, clock + ttl
        if answer is None:
            answer, told = own.wait(own.token), model[key]
        else:
            hits += 1
        assert told is not None
        assert told[1] > clock
        message = read(answer)
        [rrset] = message.answer
        assert int.from_bytes(rrset[0].to_wire()[:4], "big") == told[0]
        assert rrset.ttl == told[1] - clock
        assert str(rrset.name) == f"{name}."
        if source.random() < 0.02:
            clock += 1
            # Both workers see one memory: it ages once.
            workers[0].age(1)
    assert hits > 200
