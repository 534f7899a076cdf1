from __future__ import annotations

from compliance_api.domain.observations.unreported import Withheld
from compliance_api.domain.verdicts.coverage import Coverage
from tests.support.overviews import coverage


def test_what_is_written_is_read() -> None:
    for one in (coverage(), coverage(list_serial_claimed=None, unreported=(Withheld("partner", 30, 7),))):
        assert Coverage.read(one.document()) == one


def test_a_document_of_another_release_is_read() -> None:
    told = coverage().document()
    assert "unreported" not in told
    assert Coverage.read(told | {"of_a_later_release": 1}) == coverage()
