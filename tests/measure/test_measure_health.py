"""The instrument's eye on itself: stalls are seen by all the instants in them, the collector stays out."""

import asyncio
import gc
import time
from collections.abc import Iterator

import numpy as np
import pytest

from loadgen.measure import health as health_room
from loadgen.measure.health import LAG_INTERVAL_NS, Health, rss_bytes
from loadgen.measure.histogram import MIDPOINTS
from loadgen.wire.instant import CLOCK


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    yield
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def lags_ms(health: Health) -> list[float]:
    return [float(us) / 1000 for us in np.repeat(MIDPOINTS, health.count_lags())]


async def test_a_stall_is_seen_by_every_instant_in_it() -> None:
    """50 ms of it hold five of the instants, 10 ms apart: about 50, 40, 30, 20 and 10 ms late."""
    health = Health(asyncio.get_running_loop())
    health.start()
    health.sample_from(time.perf_counter_ns())
    await asyncio.sleep(0.03)
    before = health.count_lags().copy()
    time.sleep(0.05)  # noqa: ASYNC251  # this is the stall
    await asyncio.sleep(0.005)
    health.count_lags()[:] -= before
    seen = lags_ms(health)
    health.stop()
    assert len(seen) >= 5
    for ms in (41, 31, 21, 11):
        assert sum(lag >= ms - 2 for lag in seen) >= 5 - ms // 10
    assert max(seen) >= 39


async def test_the_instants_are_fixed() -> None:
    """As many samples as there were instants, whatever the loop did."""
    health = Health(asyncio.get_running_loop())
    health.start()
    health.sample_from(time.perf_counter_ns())
    begin = time.perf_counter_ns()
    for stall_s in (0, 0.013, 0, 0.027, 0.001):
        time.sleep(stall_s)  # noqa: ASYNC251
        await asyncio.sleep(0.011)
    await asyncio.sleep(0.02)
    samples = int(health.count_lags().sum())
    elapsed = time.perf_counter_ns() - begin
    health.stop()
    assert samples <= elapsed // LAG_INTERVAL_NS + 1
    assert samples >= elapsed // LAG_INTERVAL_NS - 2


async def test_the_collector_is_off_in_between() -> None:
    health = Health(asyncio.get_running_loop())
    health.start()
    health.sample_from(time.perf_counter_ns())
    assert not gc.isenabled()
    assert gc.get_freeze_count() > 0
    health.stop()
    assert gc.isenabled()


async def test_memory_that_grows_is_collected_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fifth more than when it was steady, at least 64 MB, and then from there."""
    sizes = iter([50, 400, 479, 481, 200, 263, 265, 100, 100])
    monkeypatch.setattr(health_room, "rss_bytes", lambda: next(sizes) << 20)
    health = Health(asyncio.get_running_loop())
    health.start()
    health.sample_from(time.perf_counter_ns())
    collected = []
    for steady in (False, True, True, True, True, True):  # sees 50, 400, 479, 481 (then 200), 263, 265 (100)
        health.each_second(3, steady=steady)
        collected.append(health.gc_collections)
    health.stop()
    assert collected == [0, 0, 0, 1, 1, 2]
    assert health.gc_pause_ns_max > 0
    assert health.rss_max == 481 << 20
    assert health.connections_max == 3


async def test_cpu_share() -> None:
    health = Health(asyncio.get_running_loop())
    health.start()
    health.sample_from(time.perf_counter_ns())
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    health.stop()
    assert health.cpu_share > 0
    share = health.cpu_share
    await asyncio.sleep(0.02)
    assert health.cpu_share == share  # of the run, not of what came after


def test_the_largest_resident_memory() -> None:
    before = rss_bytes()
    block = bytearray(b"x") * (before + (64 << 20))  # more than there ever was
    assert rss_bytes() - before > 32 << 20
    del block


async def test_what_else_had_its_core() -> None:
    health = Health(asyncio.get_running_loop())
    health.start()
    health.sample_from(time.perf_counter_ns())
    before = health.core_waited_share
    health.stop()
    share = health.core_waited_share
    assert before is None
    assert (share is None) is (health_room.waited_ns() is None)
    assert share is None or 0 <= share <= 1


async def test_a_clock_that_is_set_while_it_runs() -> None:
    CLOCK.ahead_ns += 20_000_000  # before the start: none of this run's business
    health = Health(asyncio.get_running_loop())
    health.start()
    health.each_second(0, steady=False)
    before = health.clock_set_ns
    CLOCK.ahead_ns -= 5_000_000
    health.each_second(0, steady=False)
    health.stop()
    assert before == 0
    assert abs(health.clock_set_ns - 5_000_000) < 100_000
