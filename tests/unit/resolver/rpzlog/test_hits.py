"""Lines as resolvers wrote them: Unbound 1.17, BIND 9.18, our scripts in PowerDNS Recursor 4.8, Knot Resolver 5.6."""

from __future__ import annotations

import random

import pytest

from resolver.rpzlog.hits import Done, Form, Hit, MalformedError, reader

ORIGIN = "lachan.rpz.so.example"
AT = 1795333410

UNBOUND = b"[1795333410] unbound[2258:0] info: rpz: applied [lachan] %b 192.0.2.9@33933 www.bad.example. A IN"
BIND = b"2026-11-22T07:43:30.529Z rpz: info: client @0x7f0272890098 192.0.2.9#51832 (www.bad.example): %b"
VIA = b"rewrite www.bad.example/A/IN via www.bad.example.lachan.rpz.so.example"


def read(form: Form, line: bytes) -> Hit | None:
    return reader(form, ORIGIN, "lachan")(line)


@pytest.mark.parametrize(
    ("form", "line", "done", "name", "below"),
    [
        (Form.UNBOUND, UNBOUND % b"*.bad.example. rpz-nxdomain", Done.NXDOMAIN, "bad.example", True),
        (Form.UNBOUND, UNBOUND % b"exact.example. rpz-nodata", Done.NODATA, "exact.example", False),
        (Form.UNBOUND, UNBOUND % b"sink.example. rpz-local-data", Done.DATA, "sink.example", False),
        (Form.UNBOUND, UNBOUND % b"BAD.example. rpz-disabled", Done.SHADOW, "bad.example", False),
        (Form.BIND, BIND % b"rpz QNAME NXDOMAIN " + VIA, Done.NXDOMAIN, "www.bad.example", False),
        (Form.BIND, BIND % b"view clients: rpz QNAME NODATA " + VIA, Done.NODATA, "www.bad.example", False),
        (Form.BIND, BIND % b"rpz QNAME Local-Data " + VIA, Done.DATA, "www.bad.example", False),
        (Form.BIND, BIND % b"disabled rpz QNAME NXDOMAIN " + VIA, Done.SHADOW, "www.bad.example", False),
        (
            Form.LACHAN,
            b"lachan-hit 1795333410 nxdomain *.bad.example. www.bad.example.",
            Done.NXDOMAIN,
            "bad.example",
            True,
        ),
        (Form.LACHAN, b"lachan-hit 1795333410 nodata - www.bad.example.", Done.NODATA, "www.bad.example", False),
    ],
)
def test_a_hit_is_its_time_what_was_done_and_a_name(
    form: Form, line: bytes, done: Done, name: str, below: bool
) -> None:
    assert read(form, line) == Hit(AT, done, name, below)


@pytest.mark.parametrize(
    ("form", "line"),
    [
        (Form.UNBOUND, b"[1795333391] unbound[2258:0] info: start of service (unbound 1.17.1)."),
        (Form.UNBOUND, UNBOUND % b"ok.bad.example. rpz-passthru"),
        (Form.UNBOUND, UNBOUND.replace(b"[lachan]", b"[malware]") % b"bad.example. rpz-nxdomain"),
        (Form.BIND, b"2026-11-22T07:43:30.529Z general: info: zone lachan.rpz.so.example/IN: transferred serial 7"),
        (Form.BIND, BIND % b"rpz QNAME PASSTHRU " + VIA),
        (Form.BIND, (BIND % b"rpz QNAME NXDOMAIN " + VIA).replace(b"lachan.rpz", b"malware.rpz")),
        (Form.LACHAN, b"lachan-hit 1795333410 passthru *.bad.example. www.bad.example."),
        (Form.LACHAN, b""),
    ],
)
def test_what_is_no_hit_of_the_list_is_of_no_interest(form: Form, line: bytes) -> None:
    assert read(form, line) is None


@pytest.mark.parametrize(
    ("form", "line"),
    [
        (Form.UNBOUND, UNBOUND % b"bad.example. rpz-unheard-of"),
        (Form.UNBOUND, b"Nov 22 07:43:30 unbound[2258:0] info: rpz: applied [lachan] bad.example. rpz-nxdomain"),
        (Form.UNBOUND, UNBOUND % b"b\xffd.example. rpz-nxdomain"),
        (
            Form.BIND,
            BIND.replace(b"2026-11-22T07:43:30.529Z", b"22-Nov-2026 07:43:30.529") % b"rpz QNAME NXDOMAIN " + VIA,
        ),
        (Form.BIND, BIND.replace(b"2026-11-22", b"2026-13-22") % b"rpz QNAME NXDOMAIN " + VIA),
        (Form.BIND, BIND % b"rpz QNAME Whatever " + VIA),
        (Form.LACHAN, b"lachan-hit 1795333410 nxdomain"),
    ],
)
def test_what_ought_to_be_a_hit_and_cannot_be_read_is_said(form: Form, line: bytes) -> None:
    with pytest.raises(MalformedError) as raised:
        read(form, line)
    # Names and clients stand in the line.
    assert "example" not in str(raised.value)


def test_no_bytes_raise_anything_else() -> None:
    rng = random.Random(5)
    for form, line in (
        (Form.UNBOUND, UNBOUND % b"*.bad.example. rpz-nxdomain"),
        (Form.BIND, BIND % b"rpz QNAME NXDOMAIN " + VIA),
        (Form.LACHAN, b"lachan-hit 1795333410 nxdomain *.bad.example. www.bad.example."),
    ):
        one = reader(form, ORIGIN, "lachan")
        for _ in range(2000):
            changed = bytearray(line)
            for _ in range(rng.randrange(1, 4)):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
            try:
                hit = one(bytes(changed[: rng.randrange(len(changed) + 1)]))
            except MalformedError:
                continue
            assert hit is None or len(hit.name) <= 253


def test_neither_a_name_nor_a_client_shows_by_mistake() -> None:
    assert "bad" not in repr(read(Form.UNBOUND, UNBOUND % b"*.bad.example. rpz-nxdomain"))
