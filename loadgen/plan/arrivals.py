"""Open loop: the arrivals of a rate, of stages, of bursts, of a trace; one function each."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from loadgen.errors import ScenarioError
from loadgen.plan.laws import LAWS, Float64s, Gaps, Int64s, Part, Profile, unit_arrivals
from loadgen.scenario.traffic import Burst, Law, Load, Trace
from loadgen.units import NS_PER_MS, format_duration

MOST: Final = 50_000_000
_ROOM: Final = int.from_bytes(b"plan")  # so that no other room's generator repeats our numbers
_NO_KNOTS: Final = (np.empty(0, dtype=np.int64), np.empty(0))


class Arrivals(NamedTuple):
    """When sessions arrive: ns from the epoch, sorted, shape (arrivals,).

    session: which session each is, where they are not numbered in order. end_ns: when the window ends; None:
    with the last arrival.
    """

    when_ns: Int64s
    session: Int64s | None
    end_ns: int | None
    knots: tuple[Int64s, Float64s] = _NO_KNOTS


def of_rate(load: Load, seed: int, rates: Sequence[float], starts_ns: Sequence[int]) -> Arrivals:
    """Arrivals at rates[k] from starts_ns[k] on; a ramp is a rise from the rate before (at first from 0)."""
    knots: list[tuple[int, float]] = []
    before, ramp = 0.0, int(load.ramp_ns)
    for k, (rate, start) in enumerate(zip(rates, starts_ns, strict=True)):
        rise = min(ramp, starts_ns[k + 1] - start) if k + 1 < len(rates) else ramp
        if rise or k:
            knots.append((start, before))
        knots.append((start + rise, rate))
        before = rate
    begin = starts_ns[-1] + int(load.warmup_ns)
    end = None if load.duration_ns is None else begin + int(load.duration_ns)
    part = Part(_gaps(load, load.arrivals), np.inf, _rng(seed, 0))
    enough = load.requests if len(rates) == 1 else None
    place = "load.levels" if load.levels else "load.rate"
    return _drawn(Profile.of(knots), [part], (begin, end), enough, place)


def of_stages(load: Load, seed: int) -> Arrivals:
    """Arrivals of the stages; a warm-up comes before them, at the rate with which they begin."""
    at = int(load.warmup_ns)
    knots = [(0, float(load.stages[0].from_per_s))]
    for stage in load.stages:
        to = stage.from_per_s if stage.to_per_s is None else stage.to_per_s
        knots += [(at, float(stage.from_per_s)), (at + int(stage.time_ns), float(to))]
        at += int(stage.time_ns)
    profile = Profile.of(knots)
    ends = [*profile.expected[2:-1:2], np.inf]
    laws = [_gaps(load, stage.arrivals or load.arrivals) for stage in load.stages]
    parts = [Part(law, end, _rng(seed, i)) for i, (law, end) in enumerate(zip(laws, ends, strict=True))]
    return _drawn(profile, parts, (int(load.warmup_ns), at), load.requests, "load.stages")


def of_burst(load: Load, burst: Burst) -> Arrivals:
    """`size` arrivals at 0 and after every `every_ns`; without it one burst, when the window opens."""
    size, begin = int(burst.size), int(load.warmup_ns)
    end = None if load.duration_ns is None else begin + int(load.duration_ns)
    if burst.every_ns is None:
        _check_size(size, "load.burst.size")
        return Arrivals(np.full(size, begin, dtype=np.int64), None, end)
    every = max(1, int(burst.every_ns))
    bounds = []
    if end is not None:
        bounds.append(-(-end // every))
    if load.requests is not None:
        bounds.append(-(-begin // every) - (-int(load.requests) // size))
    _check_size(min(bounds, default=np.inf) * size, "load.burst")
    return Arrivals(np.repeat(np.arange(min(bounds), dtype=np.int64) * every, size), None, end)


def of_trace(load: Load, trace: Trace, arrivals_ns: Int64s | None) -> Arrivals:
    """The timestamps of a file, a window of it, sped up, again and again.

    Without `length` the window reaches to the last row, and what follows comes one mean gap after it. A
    `duration` is the length of the measurement window, be it shorter or longer than that.
    """
    if arrivals_ns is None:
        remedy = 'name a file with timestamps: source = "mooncake", "azure", "burstgpt", or jsonl with them'
        raise ScenarioError("load.trace", "the workload has no timestamps", remedy)
    start = int(trace.start_ns)
    stop = None if trace.length_ns is None else start + int(trace.length_ns)
    first = int(np.searchsorted(arrivals_ns, start))
    last = len(arrivals_ns) if stop is None else int(np.searchsorted(arrivals_ns, stop))
    if first >= last:
        ends = _whole_ms(int(arrivals_ns[-1])) if len(arrivals_ns) else "0s"
        what = f"no row of the file is in its window: the last row is at {ends}"
        raise ScenarioError("load.trace", what, "choose an earlier start or a greater length")
    _check_size((last - first) * int(trace.repeat), "load.trace")
    offsets = arrivals_ns[first:last] - start
    span = int(offsets[-1] - offsets[0])
    period = stop - start if stop is not None else int(offsets[-1]) + max(1, span // max(1, last - first - 1))
    laps = np.arange(int(trace.repeat), dtype=np.int64)[:, None] * period
    when = (offsets + laps).ravel()
    if trace.speed != 1:
        when = np.rint(when / float(trace.speed)).astype(np.int64)
    rows = np.tile(np.arange(first, last, dtype=np.int64), int(trace.repeat))
    end: int | None = None
    if load.duration_ns is not None:
        end = int(load.warmup_ns) + int(load.duration_ns)
    elif span or stop is not None:  # all at once, for no length: as with a burst, there is no end to it
        # rounding must not push the last row out
        end = max(round(period * int(trace.repeat) / float(trace.speed)), int(when[-1]) + 1)
    if end is not None and end <= load.warmup_ns:
        what = f"lasts {_whole_ms(end)}, and the warm-up takes all of it"
        raise ScenarioError("load.trace", what, "choose a greater length or a shorter warmup")
    n = len(when) if end is None else int(np.searchsorted(when, end))
    return Arrivals(when[:n], rows[:n], end)


def _whole_ms(ns: int) -> str:
    return format_duration(ns // NS_PER_MS * NS_PER_MS)


def _drawn(
    profile: Profile,
    parts: Sequence[Part],
    window_ns: tuple[int, int | None],
    enough: int | None,
    place: str,
) -> Arrivals:
    """Draw arrivals up to the window's end, or until `enough` of them lie in the window."""
    begin, end = window_ns
    bounds = [] if end is None else [profile.expected_at(end)]
    if enough is not None:
        bounds.append(profile.expected_at(begin) + int(enough))
    _check_size(min(bounds, default=np.inf), place)
    blocks: list[Int64s] = []
    count = before = 0
    for u in unit_arrivals(parts):
        when = profile.times_ns(u)
        if blocks:
            np.maximum(when, blocks[-1][-1], out=when)
        inside = len(when) if end is None else int(np.searchsorted(when, end))
        before += int(np.searchsorted(when, begin))
        count += inside
        if inside:
            blocks.append(when[:inside])
        if inside < len(when) or (enough is not None and count - before >= enough):
            break
        _check_size(count, place)  # a law of extreme bursts may bring more than expected
    when = np.concatenate(blocks) if blocks else np.empty(0, dtype=np.int64)
    if enough is not None:
        when = when[: before + int(enough)]
    last = end if end is not None else int(when[-1]) if len(when) else begin
    return Arrivals(when, None, end, profile.until(last))


def _check_size(arrivals: float, place: str) -> None:
    if arrivals > MOST:
        how_many = "without end" if np.isinf(arrivals) else f"{arrivals:,.0f}"
        what = f"arrivals would be {how_many}, more than the {MOST:,} that a plan may have"
        raise ScenarioError(place, what, "write a shorter duration, fewer requests or a lower rate")


def _gaps(load: Load, law: Law) -> Gaps:
    return LAWS[law](float(load.burstiness))


def _rng(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_ROOM, stream)))
