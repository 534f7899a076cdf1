from __future__ import annotations

from compliance_api.probe.timekeeper import Timekeeper, boot_clock
from lachan.compliance.v1 import probe_service_pb2 as pb


class Clocks:
    boot = 100.0
    wall = 5.0

    def keeper(self) -> Timekeeper:
        return Timekeeper(lambda: self.boot, lambda: self.wall)


def test_without_a_stamp_the_wall_clock_is_all_there_is() -> None:
    keeper = Clocks().keeper()
    moment = keeper.moment()
    assert (keeper.age(), keeper.now(), keeper.offset()) == (None, 5.0, 0.0)
    assert (moment.wall_us, moment.stamp, moment.since_us) == (5_000_000, None, 0)


def test_with_one_the_wall_clock_may_say_anything() -> None:
    clocks = Clocks()
    keeper = clocks.keeper()
    keeper.hold(pb.Stamp(time_us=1_800_000_000_000_000))
    clocks.boot += 2.5
    clocks.wall = -1e9
    assert (keeper.age(), keeper.now()) == (2.5, 1_800_000_002.5)
    assert keeper.offset() == -1e9 - 1_800_000_002.5
    moment = keeper.moment()
    assert moment.stamp is not None
    assert (moment.stamp.time_us, moment.since_us) == (1_800_000_000_000_000, 2_500_000)
    keeper.hold(pb.Stamp(time_us=1_800_000_009_000_000))
    assert keeper.now() == 1_800_000_009.0


def test_the_boot_clock_never_goes_back() -> None:
    before = boot_clock()
    assert boot_clock() >= before
