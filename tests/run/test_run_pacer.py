"""Planned instants: never early, equal ones in order, all released at the end."""

import asyncio
import random

import pytest

from loadgen.run.pacer import Pacer
from loadgen.wire.stopwatch import now_ns
from loadgen.wire.timerfd import PreciseTimer

MS = 1_000_000


async def test_nobody_is_woken_early_and_all_in_order() -> None:
    pacer = Pacer(asyncio.get_running_loop())
    start = now_ns() + 5 * MS
    due = [start + i // 3 * 700_000 for i in range(60)]  # three of each instant
    asked = list(enumerate(due))
    woken: list[tuple[int, int]] = []

    async def wait(number: int, at_ns: int) -> None:
        await pacer.until(at_ns)
        woken.append((number, now_ns()))

    # asked for in any order of instants; of equal ones the first asked is the first woken
    groups = [asked[i : i + 3] for i in range(0, 60, 3)]
    random.Random(1).shuffle(groups)
    await asyncio.gather(*(wait(number, at) for group in groups for number, at in group))
    pacer.close()
    assert [number for number, _ in woken] == list(range(60))
    assert all(at >= due[number] for number, at in woken)


async def test_what_is_past_returns_at_once() -> None:
    pacer = Pacer(asyncio.get_running_loop())
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    await pacer.until(now_ns() - 1)
    assert turns == 0  # not even a turn of the loop
    counting.cancel()
    pacer.close()


@pytest.mark.parametrize("close", [False, True], ids=["release", "close"])
async def test_release_wakes_everybody(close: bool) -> None:
    pacer = Pacer(asyncio.get_running_loop())
    hour = now_ns() + 3600 * 1000 * MS
    waiting = [asyncio.ensure_future(pacer.until(hour + i)) for i in range(5)]
    waiting[2].cancel()
    await asyncio.sleep(0)
    pacer.close() if close else pacer.release()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(r, asyncio.CancelledError) for r in results] == [False, False, True, False, False]
    await pacer.until(hour)  # and nobody waits any more
    if not close:
        pacer.close()


async def test_a_waiter_that_was_cancelled_is_passed_over() -> None:
    pacer = Pacer(asyncio.get_running_loop())
    first = asyncio.ensure_future(pacer.until(now_ns() + 10 * MS))
    second = asyncio.ensure_future(pacer.until(now_ns() + 20 * MS))
    await asyncio.sleep(0)
    first.cancel()
    await second
    pacer.close()


@pytest.mark.parametrize("fallback", [False, True], ids=["timerfd", "the loop's timers"])
async def test_a_precise_timer_is_never_early(fallback: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if fallback:
        monkeypatch.setattr("sys.platform", "darwin")
    loop = asyncio.get_running_loop()
    fired: asyncio.Future[int] = loop.create_future()
    timer = PreciseTimer(loop, lambda: fired.set_result(now_ns()))
    for wait_ns in (0, 1, 300_000, 1_500_000, 7_300_000):
        fired = loop.create_future()
        due = now_ns() + wait_ns
        timer.arm(due)
        assert await fired >= due
    timer.close()


@pytest.mark.parametrize("fallback", [False, True], ids=["timerfd", "the loop's timers"])
async def test_arming_again_forgets_the_former_instant(
    fallback: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fallback:
        monkeypatch.setattr("sys.platform", "darwin")
    loop = asyncio.get_running_loop()
    fired: list[int] = []
    ready = asyncio.Event()

    def fire() -> None:
        fired.append(now_ns())
        ready.set()

    timer = PreciseTimer(loop, fire)
    timer.arm(now_ns() + 2 * MS)
    timer.arm(later := now_ns() + 15 * MS)
    await ready.wait()
    assert fired[0] >= later
    timer.arm(now_ns() + 2 * MS)
    timer.close()
    await asyncio.sleep(0.01)
    assert len(fired) == 1
