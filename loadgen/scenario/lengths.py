"""Length distributions of a scenario: how many tokens a prompt has, how many an answer may have."""

import math
from typing import Annotated, Final

import msgspec

_Z95: Final = 1.6448536269514722  # standard normal quantile of 95 %


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
