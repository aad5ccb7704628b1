"""The laws of arrivals: gaps of mean 1 in the time in which one session is expected a unit, and that time.

An open loop is laid down in two steps (the time-rescaling theorem: Brown et al. 2002, Neural Computation 14,
p. 325). A law's gaps of mean 1 are summed to u0 <= u1 <= ..; a rate r(t) over the day makes of them arrivals
at t_i = R^-1(u_i), where R(t) is the integral of r from 0 to t. With r constant the gaps are the law's own,
1/r long in the mean; with any r the expected number of arrivals up to t is R(t).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from loadgen.scenario.traffic import Law
from loadgen.units import NS_PER_S

Int64s = NDArray[np.int64]
Float64s = NDArray[np.float64]
BLOCK: Final = 1 << 14  # gaps drawn in one step: 130 KB, whatever the length of the plan
_NEVER_NS: Final = 2.0**62


class Gaps(Protocol):
    """A renewal process of mean 1: its gaps, and where its first arrival lies after the start."""

    def first(self, rng: np.random.Generator) -> float:
        """Draw the first arrival, so that the expected number up to u is u (constant: at most 1 more)."""
        ...

    def draw(self, rng: np.random.Generator, n: int) -> Float64s:
        """Draw n gaps."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Gap = 1; coefficient of variation 0. The first arrival is at the start."""

    def first(self, _rng: np.random.Generator) -> float:
        """Return the start."""
        return 0.0

    def draw(self, _rng: np.random.Generator, n: int) -> Float64s:
        """Return n ones."""
        return np.ones(n)


@dataclass(frozen=True, slots=True)
class Poisson:
    """P(gap > x) = exp(-x); coefficient of variation 1."""

    def first(self, rng: np.random.Generator) -> float:
        """Draw the first arrival: memoryless, so a gap like any other."""
        return rng.standard_exponential()

    def draw(self, rng: np.random.Generator, n: int) -> Float64s:
        """Draw n gaps."""
        return rng.standard_exponential(n)


@dataclass(frozen=True, slots=True)
class Gamma:
    """Gap ~ x^(k-1) exp(-kx), k = `shape`: mean 1, coefficient of variation 1/sqrt(k).

    The first arrival is that of a process long under way: a start falls into a gap with odds of the gap's
    length (which makes it Gamma(k+1)), and anywhere in it.
    """

    shape: float

    def first(self, rng: np.random.Generator) -> float:
        """Draw what is left of the gap into which the start falls."""
        return rng.random() * rng.standard_gamma(self.shape + 1) / self.shape

    def draw(self, rng: np.random.Generator, n: int) -> Float64s:
        """Draw n gaps."""
        return rng.standard_gamma(self.shape, n) / self.shape


LAWS: Final[dict[Law, Callable[[float], Gaps]]] = {
    "constant": lambda _: Constant(),
    "poisson": lambda _: Poisson(),
    "gamma": Gamma,
}
"""Each law, made from `burstiness`."""


class Part(NamedTuple):
    """A part of the plan under one law: up to `end`, in expected sessions from the start of the plan."""

    gaps: Gaps
    end: float
    rng: np.random.Generator


def unit_arrivals(parts: Iterable[Part]) -> Iterator[Float64s]:
    """Yield u0 <= u1 <= .. in blocks. A gap is of the law of the part in which it begins."""
    at: float | None = None
    for gaps, end, rng in parts:
        if at is None:
            at = gaps.first(rng)
        while at < end:
            block = np.empty(BLOCK + 1)
            block[0], block[1:] = at, gaps.draw(rng, BLOCK)
            np.cumsum(block, out=block)
            n = min(int(np.searchsorted(block, end)), BLOCK)  # one is kept: the next one
            at = float(block[n])
            yield block[:n]


@dataclass(frozen=True, slots=True)
class Profile:
    """A rate over time, straight between knots (two at one instant: a step), after the last as at the last.

    knots_ns, per_s, expected: shape (knots,); expected: R at each knot, in sessions.
    """

    knots_ns: Int64s
    per_s: Float64s
    expected: Float64s

    @classmethod
    def of(cls, knots: Iterable[tuple[int, float]]) -> Self:
        """Make a profile of (time, rate) pairs in order of time, the first at 0."""
        times, rates = zip(*knots, strict=True)
        knots_ns, per_s = np.array(times, dtype=np.int64), np.array(rates, dtype=np.float64)
        areas = np.diff(knots_ns) / NS_PER_S * (per_s[1:] + per_s[:-1]) / 2
        return cls(knots_ns, per_s, np.concatenate([[0.0], np.cumsum(areas)]))

    def expected_at(self, when_ns: int) -> float:
        """R(t): how many sessions are expected before `when_ns`."""
        i = int(np.searchsorted(self.knots_ns, when_ns, side="right")) - 1
        x = (when_ns - int(self.knots_ns[i])) / NS_PER_S
        return float(self.expected[i] + x * (self.per_s[i] + self._slopes()[i] * x / 2))

    def times_ns(self, u: Float64s) -> Int64s:
        """R^-1(u), rounded to ns, for sorted u. Where the rate is 0 it is the end of that time.

        In a piece that begins with rate r and slope a, w sessions take x = 2w / (r + sqrt(r^2 + 2aw)) s:
        the root of w = rx + ax^2/2 in the form that loses no digits, and is right for a = 0 too.
        """
        i = np.searchsorted(self.expected, u, side="right") - 1
        w, r = u - self.expected[i], self.per_s[i]
        below = r + np.sqrt(np.maximum(r * r + 2 * self._slopes()[i] * w, 0))
        x = np.where(w > 0, np.inf, 0.0)  # a rate that is 0 for ever brings nobody
        np.divide(2 * w, below, out=x, where=below > 0)
        when = np.minimum(self.knots_ns[i] + np.rint(x * NS_PER_S), _NEVER_NS)
        return np.maximum.accumulate(when.astype(np.int64))  # rounding must not turn two around

    def until(self, end_ns: int) -> tuple[Int64s, Float64s]:
        """The knots up to `end_ns`, with one there."""
        inside = self.knots_ns < end_ns
        last = np.interp(end_ns, self.knots_ns, self.per_s)
        return np.append(self.knots_ns[inside], end_ns), np.append(self.per_s[inside], last)

    def _slopes(self) -> Float64s:
        """Change of the rate, 1/s^2, after each knot."""
        width = np.diff(self.knots_ns) / NS_PER_S
        slopes = np.zeros(len(self.knots_ns))
        np.divide(np.diff(self.per_s), width, out=slopes[:-1], where=width > 0)
        return slopes
