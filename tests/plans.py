"""Scenarios and plans by a few keys."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from loadgen.plan.plan import Plan, build
from loadgen.scenario.lengths import Count, Duration
from loadgen.scenario.model import Scenario, Target
from loadgen.scenario.traffic import Law, Level, Load, Rate, RateOrZero, Stage, Trace
from loadgen.workload.prompt import Conversation, Int64s

US: Final = 1_000
MS: Final = 1_000_000
S: Final = 1_000_000_000
ONE_IN_A_MILLION: Final = 4.9  # standard deviations, two-sided


class Said:
    """Prompts of which a plan asks everything but the words."""

    def __init__(self, digest: str = "", arrivals_ns: Sequence[int] | None = None) -> None:
        self.contents_digest = digest
        self.set_aside: dict[str, int] = {}
        self.arrivals_ns: Int64s | None = None if arrivals_ns is None else np.array(arrivals_ns, np.int64)
        self.count: int | None = None if arrivals_ns is None else len(arrivals_ns)

    def conversation(self, session: int, target: int) -> Conversation:
        raise AssertionError("a plan needs no words")


def scenario(targets: int = 2, seed: int = 3, **load: Any) -> Scenario:
    kinds: dict[str, type] = {"concurrency": Count, "users": Count, "requests": Count, "rate_per_s": Rate}
    keys: dict[str, Any] = {}
    for key, value in load.items():
        if key == "levels":
            keys[key] = tuple(map(Level, value))
        else:
            keys[key] = kinds.get(key, Duration if key.endswith("_ns") else lambda v: v)(value)
    return Scenario(
        name="s",
        seed=seed,
        targets=tuple(Target(name=f"t{i}", model="m", base_url=f"http://h{i}/v1") for i in range(targets)),
        load=Load(**keys),
    )


def plan_of(targets: int = 1, **keys: Any) -> Plan:
    """Build a plan from keys of `Load`; `seed`, and `rows_ns`: when the rows of a trace arrived."""
    rows_ns = keys.pop("rows_ns", None)
    return build(scenario(targets, keys.pop("seed", 3), **keys), Said("", rows_ns))


def stage(time_ns: int, start: float, end: float | None = None, law: Law | None = None) -> Stage:
    return Stage(
        time_ns=Duration(time_ns),
        from_per_s=RateOrZero(start),
        to_per_s=None if end is None else RateOrZero(end),
        arrivals=law,
    )


def trace(speed: float = 1.0, start_ns: int = 0, length_ns: int | None = None, repeat: int = 1) -> Trace:
    length = None if length_ns is None else Duration(length_ns)
    return Trace(speed=speed, start_ns=Duration(start_ns), length_ns=length, repeat=Count(repeat))
