from __future__ import annotations

from pathlib import Path
from random import Random

import grpc
import grpc.aio
import pytest

from lachan import renewal
from lachan.newcomer import write_pair
from lachan.renewal import Life, Renewal, RenewalError, life_of
from lachan.tls import TlsFiles, TlsMaterial, load
from tests.support import foreign

ROOT = foreign.root("root")
NODE = "lachan://a/node/e1"
DAY = 86400.0


def place(folder: Path) -> TlsFiles:
    (folder / "ca.pem").write_bytes(ROOT.pem)
    files = TlsFiles(ca=folder / "ca.pem", certificate=folder / "node.pem", key=folder / "node.pem")
    leaf = ROOT.leaf(NODE, days=30)
    write_pair(files, leaf.pem, leaf.key_pem)
    return files


class Away(Renewal):
    """One whose service answers as a test says."""

    answer: Exception

    async def renew(self, material: TlsMaterial) -> Life:
        assert str(material.identity) == NODE
        raise self.answer


def away(files: TlsFiles, at: float, answer: Exception) -> Away:
    made = Away("127.0.0.1:1", files, Random(1), lambda: at)
    made.answer = answer
    return made


def refusal(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "why")


def test_everybody_renews_at_a_time_of_their_own_before_the_last_third() -> None:
    life = Life(1000, 1000 + 30 * DAY)
    times = {Random(seed).random() for seed in range(50)}
    due = sorted(life.due(share) for share in times)
    assert due[0] >= 1000 + 15 * DAY
    assert due[-1] < 1000 + 20 * DAY
    assert len(due) == 50


async def test_nothing_is_asked_before_its_time_and_the_wait_is_bounded(tmp_path: Path) -> None:
    files = place(tmp_path)
    begin = life_of(load(files).certificate).begin
    assert await away(files, begin, AssertionError()).step() == renewal.LONGEST_SLEEP
    due = Away("", files, Random(1), lambda: begin)
    share = life_of(load(files).certificate).due(due._share)
    assert 0 < await away(files, share - 10, AssertionError()).step() <= 10


@pytest.mark.parametrize(
    "answer", [refusal(grpc.StatusCode.UNAVAILABLE), refusal(grpc.StatusCode.PERMISSION_DENIED), RenewalError("no")]
)
async def test_a_failure_is_counted_and_tried_again_many_times_before_the_end(
    tmp_path: Path, answer: Exception
) -> None:
    files = place(tmp_path)
    life = life_of(load(files).certificate)
    made = away(files, life.begin + 0.66 * (life.end - life.begin), answer)
    wait = await made.step()
    assert made.failures == 1
    assert 10 * wait < (life.end - life.begin) / 3


@pytest.mark.parametrize("code", [grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNIMPLEMENTED])
async def test_who_has_a_certificate_from_elsewhere_is_left_alone(tmp_path: Path, code: grpc.StatusCode) -> None:
    files = place(tmp_path)
    end = life_of(load(files).certificate).end
    made = away(files, end - 1, refusal(code))
    assert await made.step() == renewal.ELSEWHERE_SECONDS
    assert made.failures == 0


async def test_a_missing_certificate_ends_nothing(tmp_path: Path) -> None:
    files = place(tmp_path)
    files.certificate.unlink()
    made = away(files, 0, AssertionError())
    assert 0 < await made.step() <= renewal.LONGEST_SLEEP
    assert (made.failures, made.expires_at) == (1, 0.0)


def test_when_it_ends_is_told(tmp_path: Path) -> None:
    files = place(tmp_path)
    assert Renewal("", files, Random(1)).expires_at == life_of(load(files).certificate).end
