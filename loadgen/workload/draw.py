"""Numbers drawn from the scenario's seed: token counts from a distribution, one value a session."""

import functools
import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from loadgen.scenario.lengths import Constant, Empirical, Lengths, Lognormal, Normal, Uniform

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
