"""Numbers drawn from the scenario's seed: token counts and times, one a session or one a turn."""

import functools
import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from loadgen.scenario.lengths import (
    Constant,
    ConstantTime,
    Empirical,
    ExponentialTime,
    Lengths,
    Lognormal,
    LognormalTime,
    Normal,
    Times,
    Uniform,
    UniformTime,
)

_MOST_TOKENS: Final = 10**15  # keeps a long tail without a `max` inside int64
_BLOCK: Final = 256  # sessions drawn in one step: about 30 µs, then an index into a list
_ROOM: Final = int.from_bytes(b"workload")  # so that no other room's generator repeats our numbers


def draw(lengths: Lengths, rng: np.random.Generator, n: int) -> npt.NDArray[np.int64]:
    """Draw `n` token counts, each at least 1 and within the bounds of `lengths`.

    Bounds clip: what falls outside becomes the bound itself, as the scenario's reference says.
    """
    match lengths:
        case Constant():
            return np.full(n, lengths.value, dtype=np.int64)
        case Uniform():
            return rng.integers(lengths.min, lengths.max, size=n, endpoint=True, dtype=np.int64)
        case Normal():
            return _whole(rng.normal(lengths.mean, lengths.stddev, n), lengths.min, lengths.max)
        case Lognormal():
            logs = rng.normal(math.log(lengths.median), lengths.sigma, n)
            # exp overflows past 709; such a value is clipped to the largest count anyway
            return _whole(np.exp(np.minimum(logs, 700.0)), lengths.min, lengths.max)
        case Empirical():
            shares = None if lengths.weights is None else np.divide(lengths.weights, sum(lengths.weights))
            return rng.choice(np.array(lengths.values, dtype=np.int64), size=n, p=shares)


def _whole(values: npt.NDArray[np.float64], low: int, high: int | None) -> npt.NDArray[np.int64]:
    return np.clip(np.rint(values), low, _MOST_TOKENS if high is None else high).astype(np.int64)


def draw_times(times: Times, rng: np.random.Generator, n: int) -> npt.NDArray[np.int64]:
    """Draw `n` times in nanoseconds, each within the bounds of `times`; a `max` clips."""
    most: int | None = None
    match times:
        case ConstantTime():
            return np.full(n, times.value_ns, dtype=np.int64)
        case UniformTime():
            return rng.integers(times.min_ns, times.max_ns, size=n, endpoint=True, dtype=np.int64)
        case ExponentialTime():
            drawn, most = rng.exponential(times.mean_ns, n), times.max_ns
        case LognormalTime():
            drawn, most = times.median_ns * np.exp(rng.normal(0.0, times.sigma, n)), times.max_ns
    return _whole(drawn, 0, most)


def by_turn(
    fill: Callable[[np.random.Generator, int], npt.NDArray[Any]], seed: int, stream: int
) -> Callable[[int, int], list[Any]]:
    """Return a function from (session, n) to the values of n turns: of (seed, stream, session) alone.

    The first values do not depend on n. It costs some 20 µs a session, for those that have several turns.
    """

    def at(session: int, n: int) -> list[Any]:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_ROOM, stream, session)))
        values: list[Any] = fill(rng, n).tolist()
        return values

    return at


def by_session(
    fill: Callable[[np.random.Generator, int], npt.NDArray[Any]], seed: int, stream: int
) -> Callable[[int], Any]:
    """Return a function from session number to its value: of (seed, stream, session) alone.

    fill: draws n values. stream: a number of the caller's own for each kind of value, so that asking
    for one kind never shifts another. Asked in order it costs well under a microsecond a session.
    """

    @functools.lru_cache(maxsize=64)
    def block(number: int) -> list[Any]:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_ROOM, stream, number)))
        values: list[Any] = fill(rng, _BLOCK).tolist()
        return values

    def at(session: int) -> Any:
        return block(session // _BLOCK)[session % _BLOCK]

    return at
