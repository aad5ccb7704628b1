"""The plain values of a scenario (counts, durations, paths), and distributions of lengths and times."""

import math
from typing import Annotated, Final

import msgspec

_Z95: Final = 1.6448536269514722  # standard normal quantile of 95 %
_Z_MILLION: Final = 4.753424308822899  # of 1 - 1e-6


NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]


class Count(int):
    """A whole number, written in a scenario as `1500` or `"1.5k"`; at least 1."""


class FilePath(str):
    """A path, relative to the scenario file in the file, absolute once loaded."""

    __slots__ = ()


class Tokens(int):
    """A count of tokens as a scenario writes it: `220` or `"1.5k"`; at least 1."""


class Constant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="constant"):
    """Always `value` tokens."""

    value: Tokens


class Uniform(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="uniform"):
    """Every whole number from `min` to `max` tokens, equally likely."""

    min: Tokens
    max: Tokens

    def __post_init__(self) -> None:
        if self.min > self.max:
            raise ValueError(f"`min` ({self.min}) is above `max` ({self.max})")


class Normal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="normal"):
    """Normal with `mean` and `stddev` tokens, clipped to `min` .. `max`."""

    mean: Tokens
    stddev: Annotated[float, msgspec.Meta(ge=0)]
    min: Tokens = msgspec.field(default_factory=lambda: Tokens(1))
    max: Tokens | None = None

    def __post_init__(self) -> None:
        if self.max is not None and self.min > self.max:
            raise ValueError(f"`min` ({self.min}) is above `max` ({self.max})")


class Lognormal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="lognormal"):
    """Log-normal given by its `median` and `p95` in tokens, clipped to `min` .. `max`."""

    median: Tokens
    p95: Tokens
    min: Tokens = msgspec.field(default_factory=lambda: Tokens(1))
    max: Tokens | None = None

    def __post_init__(self) -> None:
        if self.p95 < self.median:
            raise ValueError(f"`p95` ({self.p95}) is below `median` ({self.median})")
        if self.max is not None and self.min > self.max:
            raise ValueError(f"`min` ({self.min}) is above `max` ({self.max})")

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm: (ln p95 - ln median) / z(0.95)."""
        return (math.log(self.p95) - math.log(self.median)) / _Z95


class Empirical(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="empirical"):
    """One of `values`, drawn by `weights` (equally likely without them)."""

    values: Annotated[tuple[Tokens, ...], msgspec.Meta(min_length=1)]
    weights: tuple[Annotated[float, msgspec.Meta(ge=0)], ...] | None = None

    def __post_init__(self) -> None:
        if self.weights is not None:
            if len(self.weights) != len(self.values):
                raise ValueError(f"{len(self.weights)} `weights` for {len(self.values)} `values`")
            if not sum(self.weights) > 0:
                raise ValueError("`weights` sum to nothing")


Lengths = Constant | Uniform | Normal | Lognormal | Empirical

DEFAULT_PROMPT_TOKENS: Final = Lognormal(median=Tokens(220), p95=Tokens(900), max=Tokens(4000))
"""Of prompts that are made, where `prompt_tokens` is left out."""


def bounds(lengths: Lengths) -> tuple[int, int]:
    """Return the smallest length, and the largest; without a `max` that of one in a million."""
    match lengths:
        case Constant():
            return int(lengths.value), int(lengths.value)
        case Empirical():
            weights = lengths.weights or (1.0,) * len(lengths.values)
            there = [int(n) for n, weight in zip(lengths.values, weights, strict=True) if weight > 0]
            return min(there), max(there)
        case Normal() if lengths.max is None:
            return int(lengths.min), max(int(lengths.min), round(lengths.mean + _Z_MILLION * lengths.stddev))
        case Lognormal() if lengths.max is None:
            top = round(lengths.median * math.exp(min(_Z_MILLION * lengths.sigma, 700.0)))
            return int(lengths.min), max(int(lengths.min), top)
    return int(lengths.min), int(lengths.max or 0)


class Duration(int):
    """Nanoseconds, written in a scenario as `"250ms"`, `"30s"`, `"5m"`."""


class ConstantTime(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="constant"):
    """Always `value`."""

    value_ns: Duration = msgspec.field(name="value")


class UniformTime(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="uniform"):
    """Any time from `min` to `max`, equally likely."""

    min_ns: Duration = msgspec.field(name="min")
    max_ns: Duration = msgspec.field(name="max")

    def __post_init__(self) -> None:
        if self.min_ns > self.max_ns:
            raise ValueError("`min` is above `max`")


class ExponentialTime(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="exponential"
):
    """Exponential with `mean`, clipped to `max`."""

    mean_ns: Duration = msgspec.field(name="mean")
    max_ns: Duration | None = msgspec.field(name="max", default=None)


class LognormalTime(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="lognormal"
):
    """Log-normal given by its `median` and `p95`, clipped to `max`."""

    median_ns: Duration = msgspec.field(name="median")
    p95_ns: Duration = msgspec.field(name="p95")
    max_ns: Duration | None = msgspec.field(name="max", default=None)

    def __post_init__(self) -> None:
        if self.median_ns <= 0 or self.p95_ns < self.median_ns:
            raise ValueError("`p95` is below `median`, or `median` is zero")

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm, as of `Lognormal`."""
        return math.log(self.p95_ns / self.median_ns) / _Z95


Times = ConstantTime | UniformTime | ExponentialTime | LognormalTime
"""A time as a scenario writes it: `"2s"` or `{ kind = "lognormal", median = "5s", p95 = "30s" }`."""
