from __future__ import annotations

import idna
import pytest

from blocklist_sync.central.rails.confusables import skeleton


@pytest.mark.parametrize("spelled", ["exаmple", "exámple", "ехаmрlе", "eхampłe", "examp1e", "ẽxample"])
def test_what_looks_alike_has_one_skeleton(spelled: str) -> None:
    label = spelled if spelled.isascii() else idna.encode(spelled).decode()
    assert skeleton(f"{label}.test") == skeleton("example.test")


@pytest.mark.parametrize("other", ["xn--", "xn--a", "exemple", "xn--fsqu00a", "trẻ-em"])
def test_others_have_another(other: str) -> None:
    assert skeleton(f"{other}.test") != skeleton("example.test")
