"""What `[load]` must be beyond the types of its values: one way to load, keys that fit it, and an end."""

from typing import Any, Final

from loadgen.errors import nearest
from loadgen.scenario.keys import Key
from loadgen.scenario.lengths import Count
from loadgen.scenario.reading import Reading
from loadgen.scenario.traffic import ONLY_WITH, Level, Load, Mode, Rate
from loadgen.scenario.values import RateLevel

UNTIL_METRICS: Final = (
    "ttft",
    "ttft_from_plan",
    "ttfa",
    "tpot",
    "e2e",
    "e2e_from_plan",
    "longest_gap",
    "output_tokens_per_s",
    "output_chars_per_s",
)
"""What a run can be repeated for until it is known well enough: times and speeds, one value a request."""

WAYS: Final[dict[Mode, str]] = {
    "concurrency": "concurrency",
    "rate": "rate_per_s",
    "users": "users",
    "burst": "burst",
    "one_at_a_time": "one_at_a_time",
    "stages": "stages",
    "trace": "trace",
}
"""The ways to load, by key, and their fields."""

_DEFAULTS: Final = Load()


def check_load(v: dict[str, Any], at: Key, r: Reading) -> None:
    """Find what clashes; fill in the way to load where levels, or nothing, say it."""
    given = [mode for mode, field in WAYS.items() if v.get(field, True)]  # a mistaken one was written
    right = [mode for mode in given if WAYS[mode] in v]
    if len(given) > 1 and len(right) >= len(given) - 1:  # of two mistakes one may be another key's name
        others = " and ".join(f"{at[-1]}.{mode}" for mode in given[:-1])
        r.wrong((*at, given[-1]), f"says how to load, and so does {others}", "leave one of them")
    mode = given[0] if given else _mode_of_levels(v)
    if len(given) < 2:
        for key, modes in ONLY_WITH.items():
            field = f"{key}_ns" if key in ("ramp", "duration") else key
            if mode not in modes and v.get(field, getattr(_DEFAULTS, field)) != getattr(_DEFAULTS, field):
                r.wrong((*at, key), f"says nothing with {mode}", _remedy(key, mode, modes))
        _check_levels(v, mode, at, r)
        _check_end(v, mode, at, r)
        if mode in ONLY_WITH["burstiness"]:
            _check_law(v, at, r)
    if v.get("over_cap") == "drop" and v.get("max_in_flight", 0) is None:
        r.wrong((*at, "over_cap"), "needs a cap", "write max_in_flight = 200")
    for key in ("concurrency", "users", "max_in_flight"):
        r.check_most(v.get(key), (*at, key))
    if not given:
        level = v["levels"][0] if v.get("levels") else 1
        v[WAYS[mode]] = Rate(level) if mode == "rate" else Count(level)


def _remedy(key: str, mode: Mode, modes: tuple[Mode, ...]) -> str:
    if key == "duration":
        return f"leave it out: {mode} are as long as they are"
    others = f"{', '.join(modes[:-1])} or {modes[-1]}"
    return f"leave it out, or write {others} instead of {mode}"


def _mode_of_levels(v: dict[str, Any]) -> Mode:
    return "rate" if any(isinstance(level, RateLevel) for level in v.get("levels", ())) else "concurrency"


def _check_levels(v: dict[str, Any], mode: Mode, at: Key, r: Reading) -> None:
    if not v.get("levels") or mode not in ONLY_WITH["levels"]:
        return
    for i, level in enumerate(v["levels"]):
        place = (*at, "levels", i)
        if isinstance(level, RateLevel) != (mode == "rate"):
            if mode == "rate":
                r.wrong(place, f"{level:.0f} is not a rate", f'write "{level:.0f}/s", as for {at[-1]}.rate')
            else:
                r.wrong(
                    place, f"is a rate, and {at[-1]}.{mode} is a count", "write it like 16, or write rate"
                )
        elif mode != "rate":
            r.check_most(level, place)
    if v.get("duration_ns", 0) is None:
        what = "need duration: the schedule is laid down before the run"
        r.wrong((*at, "levels"), what, 'write duration = "20s", the time of each')
    if v.get("until"):
        r.wrong(
            (*at, "until"),
            "can't end a level early: the schedule is laid down before the run",
            "leave it out",
        )
    way = WAYS[mode]
    if v.get(way) is not None:  # the levels stand for it
        first: Level = v["levels"][0]
        v[way] = Rate(first) if mode == "rate" else Count(first)


def _check_end(v: dict[str, Any], mode: Mode, at: Key, r: Reading) -> None:
    ends = mode in ("stages", "trace") or (
        mode == "burst" and ("burst" not in v or v["burst"].every_ns is None)
    )
    if v.get("duration_ns", 0) is None and v.get("requests", 0) is None and not ends and not v.get("levels"):
        what = "has neither duration nor requests: it would never end"
        r.wrong(at, what, 'write duration = "20s" or requests = 1000')
    if v.get("duration_ns") == 0:
        r.wrong((*at, "duration"), "is zero: nothing would be measured", 'write it like "20s"')
    if mode == "stages" and "stages" in v and not any(s.from_per_s or s.to_per_s for s in v["stages"]):
        r.wrong((*at, "stages"), "have a rate of 0 throughout: nothing would be sent", 'write to = "20/s"')


def _check_law(v: dict[str, Any], at: Key, r: Reading) -> None:
    burstiness = v.get("burstiness", 1.0)
    if burstiness == 0:
        r.wrong((*at, "burstiness"), "is zero", "write a number above 0: below 1 is burstier than Poisson")
    laws = {v.get("arrivals"), *(stage.arrivals for stage in v.get("stages", ()))}
    if burstiness != 1.0 and "arrivals" in v and "gamma" not in laws:
        r.wrong(
            (*at, "burstiness"), "is the shape of gamma's gaps", 'write arrivals = "gamma", or leave it out'
        )


def check_stage(v: dict[str, Any], at: Key, r: Reading) -> None:
    """See that a stage takes its time."""
    if v.get("time_ns") == 0:
        r.wrong((*at, "time"), "is zero: a stage of no time", 'write it like "30s"')


def check_burst(v: dict[str, Any], at: Key, r: Reading) -> None:
    """See that a burst is of a possible size, and that bursts end."""
    r.check_most(v.get("size"), (*at, "size"))
    if v.get("every_ns") == 0:
        remedy = 'write it like "10s", or leave it out for one burst'
        r.wrong((*at, "every"), "is zero: bursts would never end", remedy)


def check_trace(v: dict[str, Any], at: Key, r: Reading) -> None:
    """See that a trace moves."""
    if v.get("speed") == 0:
        r.wrong((*at, "speed"), "is zero: it would never end", "write 10 for ten times as fast")
    if v.get("length_ns") == 0:
        remedy = 'write it like "10m", or leave it out for all'
        r.wrong((*at, "length"), "is zero: nothing would be sent", remedy)


def check_until(v: dict[str, Any], at: Key, r: Reading) -> None:
    """See that there is such a percentile, and that an interval can become so narrow."""
    metric, percentile = v.get("metric"), v.get("percentile", 50)
    if metric is not None and metric not in UNTIL_METRICS:
        r.wrong_value((*at, "metric"), metric, "is not known here", nearest(metric, UNTIL_METRICS))
    if not 0 < percentile < 100:
        r.wrong_value((*at, "percentile"), percentile, "is out of range", "write it between 0 and 100")
    _check_part(v, "relative", at, r)


def check_error_stop(v: dict[str, Any], at: Key, r: Reading) -> None:
    """See that the share of errors can be passed, over some time."""
    _check_part(v, "share", at, r)
    if v.get("over_ns") == 0:
        r.wrong((*at, "over"), "is zero: nothing could be seen", 'write it like "10s"')


def _check_part(v: dict[str, Any], key: str, at: Key, r: Reading) -> None:
    if key in v and not 0 < v[key] < 1:
        r.wrong_value((*at, key), float(v[key]), "is out of range", 'write it between 0 and 100 %, like "5%"')
