"""Deltas over random histories, and deltas that somebody changed."""

from __future__ import annotations

import contextlib
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from blocklist_sync.artifact import delta, manifest, records
from blocklist_sync.artifact.categories import Category
from blocklist_sync.artifact.errors import DeltaError
from blocklist_sync.artifact.orders import Order
from blocklist_sync.artifact.records import Entry, Release
from blocklist_sync.artifact.rules import Scope
from blocklist_sync.central.release import deltas
from tests.support import packing
from tests.support.blocklist import MANDATE, OFFER, release

NAMES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map(lambda way: ".".join([*way, "example"]))
ORDERS = st.sampled_from([MANDATE, OFFER, *(Order(f"{n}/CV", mandated=n % 2 == 0) for n in range(4))])
CATEGORIES = st.sampled_from([Category.CSAM, Category.GAMBLING, Category.SCAM])
LISTS = st.lists(
    st.builds(Entry, NAMES, st.sampled_from(Scope), st.booleans(), CATEGORIES, ORDERS), max_size=25, unique=True
)


def history(lists: list[list[Entry]]) -> list[Release]:
    return [release(*entries, serial=1 + 2 * number) for number, entries in enumerate(lists)]


@given(st.lists(LISTS, min_size=2, max_size=6))
@settings(max_examples=200)
def test_any_release_of_a_history_leads_to_the_last(lists: list[list[Entry]]) -> None:
    releases = history(lists)
    chain, files = deltas.Chain(manifest.Manifest(1)), {}
    for before, after in itertools.pairwise(releases):
        chain = deltas.link(before, chain.manifest, after)
        if chain.delta is not None:
            files[chain.manifest.steps[-1].name] = chain.delta
    read = manifest.parse(chain.manifest.encode())
    for held in releases[:-1]:
        made, plainly = held, held.data
        for step in read.since(held.serial) or ():
            data = files[step.name]
            assert step.fits(data)
            made = delta.apply(made, delta.parse(data))
            plainly = packing.apply(plainly, data)
            assert made.data == plainly
        assert made.data == releases[-1].data
        assert made == records.parse(releases[-1].data)


@given(LISTS, LISTS, st.data())
@settings(max_examples=300)
def test_a_changed_delta_is_refused_or_the_same(before: list[Entry], after: list[Entry], data: st.DataObject) -> None:
    old, new = history([before, after])
    good = delta.encode(old, new)
    match data.draw(st.sampled_from(["flip", "cut", "insert", "splice"])):
        case "flip":
            at = data.draw(st.integers(0, len(good) - 1))
            bad = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
        case "cut":
            bad = good[: data.draw(st.integers(0, len(good)))]
        case "insert":
            at = data.draw(st.integers(0, len(good)))
            bad = good[:at] + data.draw(st.binary(min_size=1, max_size=9)) + good[at:]
        case _:
            # The sizes as they are, whatever else the sections say.
            bad = good[:128] + data.draw(st.binary(min_size=len(good) - 128, max_size=len(good) - 128))
    with contextlib.suppress(DeltaError):
        assert delta.apply(old, delta.parse(bad)).data == new.data


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_noise_is_no_delta(data: bytes) -> None:
    old = release(serial=1)
    for noise in (data, delta.MAGIC + data, delta.encode(old, release(serial=2))[:96] + data):
        with contextlib.suppress(DeltaError):
            delta.apply(old, delta.parse(noise))
            raise AssertionError
