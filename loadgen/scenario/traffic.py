"""`[load]`: how hard, for how long, and what ends a run early. Durations are nanoseconds, rates 1/s."""

from typing import Annotated, Any, Final, Literal

import msgspec

from loadgen.scenario.lengths import Count, Duration
from loadgen.units import NS_PER_S

Law = Literal["constant", "poisson", "gamma"]
Mode = Literal["concurrency", "rate", "users", "burst", "one_at_a_time", "stages", "trace"]

OPEN: Final[tuple[Mode, ...]] = ("rate", "stages", "burst", "trace")
ONLY_WITH: Final[dict[str, tuple[Mode, ...]]] = {
    "levels": ("concurrency", "users", "rate"),
    "arrivals": ("rate", "stages"),
    "burstiness": ("rate", "stages"),
    "max_in_flight": OPEN,
    "over_cap": OPEN,
    "ramp": ("concurrency", "users", "rate"),
    "duration": ("concurrency", "users", "one_at_a_time", "rate", "burst", "trace"),
}
"""Keys of `[load]` that say something only with some of the ways to load."""


class Rate(float):
    """Sessions a second, written as `"20/s"`, `"300/min"` or a bare number a second; above 0."""


class RateOrZero(float):
    """A rate that may be 0, as an end of a stage."""


class Level(float):
    """One of `levels`: a count (of places or users) such as 16, or a rate such as `"20/s"`: see `mode`."""


class Share(float):
    """A part of a whole, 0 to 1; written as `"5%"` or 0.05."""


def seconds(n: float) -> Any:
    """Return a field default of n seconds (a factory, so that the JSON Schema can be made)."""
    return lambda: Duration(round(n * NS_PER_S))


class Stage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a day: for `time` the rate goes in a straight line from `from` to `to` (default: the same).

    arrivals: the law of this stage; None: that of `[load]`.
    """

    time_ns: Duration = msgspec.field(name="time")
    from_per_s: RateOrZero = msgspec.field(name="from")
    to_per_s: RateOrZero | None = msgspec.field(name="to", default=None)
    arrivals: Law | None = None


class Burst(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`size` sessions in one moment, again and again after `every` (None: once)."""

    size: Count
    every_ns: Duration | None = msgspec.field(name="every", default=None)


class Trace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The timestamps of the workload's file, from `start` in it, for `length`, `speed` times as fast.

    repeat: how many times that window is replayed, one after the other.
    """

    speed: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    start_ns: Duration = msgspec.field(name="start", default_factory=seconds(0))
    length_ns: Duration | None = msgspec.field(name="length", default=None)
    repeat: Count = msgspec.field(default_factory=lambda: Count(1))


class Until(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stop once a percentile's 95 % interval is within `relative` of it, either side, for all targets."""

    metric: str
    percentile: Annotated[float, msgspec.Meta(ge=0)]
    relative: Share


class ErrorStop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stop once more than `share` of what ended within the last `over` failed (of at least 20 requests)."""

    share: Share
    over_ns: Duration = msgspec.field(name="over", default_factory=seconds(10))


class Load(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How hard; every count is for each target. One of these keys says how (none: `concurrency = 1`).

    concurrency: closed loop, so many sessions at any time. users: so many users, each with one conversation
    after the other, thinking in between. one_at_a_time: one request, then the next. rate: open loop, arrivals
    by a law. stages: rates over time. burst: many at once. trace: the timestamps of the workload's file.

    levels: several values of concurrency, users or rate in one run, one after the other, each with its own
    warm-up and duration. arrivals: "constant", "poisson" or "gamma"; burstiness: the shape of gamma's gaps
    (below 1 more bursty than Poisson, above 1 more even). max_in_flight: an open loop has no more requests
    under way than that; over_cap: what becomes of an arrival above it.
    ramp: the starts of the places are spread over this time; a rate rises in it from 0.
    warmup: how long after the start the measurement window opens. duration: how long the window is; requests:
    how many sessions it holds; whichever comes first. grace: how long requests begun in the window may take
    to end after it. until, stop_at_errors: what else ends the window.
    """

    concurrency: Count | None = None
    users: Count | None = None
    one_at_a_time: bool = False
    rate_per_s: Rate | None = msgspec.field(name="rate", default=None)
    stages: Annotated[tuple[Stage, ...], msgspec.Meta(min_length=1)] = ()
    burst: Burst | None = None
    trace: Trace | None = None
    levels: Annotated[tuple[Level, ...], msgspec.Meta(min_length=1, max_length=100)] = ()
    arrivals: Law = "poisson"
    burstiness: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    max_in_flight: Count | None = None
    over_cap: Literal["delay", "drop"] = "delay"
    ramp_ns: Duration = msgspec.field(name="ramp", default_factory=seconds(0))
    warmup_ns: Duration = msgspec.field(name="warmup", default_factory=seconds(0))
    duration_ns: Duration | None = msgspec.field(name="duration", default=None)
    requests: Count | None = None
    grace_ns: Duration = msgspec.field(name="grace", default_factory=seconds(30))
    until: Annotated[tuple[Until, ...], msgspec.Meta(min_length=1)] = ()
    stop_at_errors: ErrorStop | None = None

    @property
    def mode(self) -> Mode:
        """Which of the ways to load it is."""
        if self.rate_per_s is not None:
            return "rate"
        if self.users is not None:
            return "users"
        if self.one_at_a_time:
            return "one_at_a_time"
        if self.stages:
            return "stages"
        if self.burst is not None:
            return "burst"
        return "trace" if self.trace is not None else "concurrency"

    @property
    def open_loop(self) -> bool:
        """Whether sessions arrive by a schedule, whatever becomes of those before them."""
        return self.mode in OPEN
