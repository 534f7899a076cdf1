from __future__ import annotations

import time

import pytest

from blocklist_sync.artifact.names import NameRefusedError, Reason, canonical, spelled


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("bad.example", "bad.example"),
        ("Bad.Example.", "bad.example"),
        (" bad.example\t", "bad.example"),
        ("ví-dụ.vn", "xn--v-d-rma6749a.vn"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("ａ.example", "a.example"),
        ("a。b.example", "a.b.example"),
        ("a_b.shop.example", "a_b.shop.example"),
        ("_sip.shop.example", "_sip.shop.example"),
        ("foo_bar.github.io", "foo_bar.github.io"),
        ("tenant.github.io", "tenant.github.io"),
        ("0.example", "0.example"),
        ("www.ck", "www.ck"),
        (".".join(["a" * 63] * 3 + ["b" * 53, "example"]), ".".join(["a" * 63] * 3 + ["b" * 53, "example"])),
    ],
)
def test_one_form_for_every_spelling(text: str, name: str) -> None:
    assert canonical(text) == spelled(text) == name
    assert canonical(name) == name


def test_what_is_listed_already_is_spelled_whatever_suffixes_there_are() -> None:
    assert (spelled("Co.UK."), spelled("_x.example")) == ("co.uk", "_x.example")
    for text in ("", "com", "192.0.2.1", "a..b", "1.2", "\u200b.example"):
        with pytest.raises(NameRefusedError):
            spelled(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.EMPTY),
        (".", Reason.EMPTY),
        ("a..example", Reason.EMPTY),
        ("a.example..", Reason.EMPTY),
        ("192.0.2.1", Reason.ADDRESS),
        ("192.0.2", Reason.ADDRESS),
        ("2001:db8::1", Reason.ADDRESS),
        ("[2001:db8::1]", Reason.ADDRESS),
        ("localhost", Reason.SINGLE_LABEL),
        ("com", Reason.SINGLE_LABEL),
        ("a.1", Reason.NUMERIC_TOP),
        ("co.uk", Reason.PUBLIC_SUFFIX),
        ("CO.UK.", Reason.PUBLIC_SUFFIX),
        ("com.vn", Reason.PUBLIC_SUFFIX),
        ("github.io", Reason.PUBLIC_SUFFIX),
        ("duckdns.org", Reason.PUBLIC_SUFFIX),
        ("any.ck", Reason.PUBLIC_SUFFIX),
        ("公司.cn", Reason.PUBLIC_SUFFIX),
        ("a_b.example", Reason.UNDERSCORE),
        ("-a.example", Reason.CHARACTERS),
        ("a-.example", Reason.CHARACTERS),
        ("a b.example", Reason.CHARACTERS),
        ("a/b.example", Reason.CHARACTERS),
        ("*.bad.example", Reason.CHARACTERS),
        ("ab--c.example", Reason.IDNA),
        ("xn--a.example", Reason.IDNA),
        ("☃.example", Reason.IDNA),
        ("a" * 64 + ".example", Reason.TOO_LONG),
        (".".join(["a" * 63] * 3 + ["b" * 54, "example"]), Reason.TOO_LONG),
        ("é" * 2000 + ".example", Reason.TOO_LONG),
    ],
)
def test_what_no_list_can_carry(text: str, reason: Reason) -> None:
    with pytest.raises(NameRefusedError) as refused:
        canonical(text)
    assert refused.value.reason is reason
    assert len(str(refused.value)) < 200


def test_plain_names_are_cheap() -> None:
    names = [f"n{i:x}-{i % 97}.example" for i in range(20_000)]
    started = time.process_time()
    for name in names:
        canonical(name)
    # Measured at 0.8 µs; a million of them must leave most of ten seconds to the rest.
    assert (time.process_time() - started) / len(names) < 5e-6
