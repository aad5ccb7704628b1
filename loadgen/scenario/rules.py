"""What a scenario's values must be beyond their type: one function a struct, in the table `RULES`.

Each gets the fields that could be read (a mistaken one is not among them), so that all mistakes come at once.
"""

from typing import Any, Final

from loadgen.scenario.keys import Key
from loadgen.scenario.model import Budget, FromEnv, Scenario, SessionKey, Target, Timeouts
from loadgen.scenario.reading import Reading, Rule
from loadgen.scenario.rules_load import (
    check_burst,
    check_error_stop,
    check_load,
    check_stage,
    check_trace,
    check_until,
)
from loadgen.scenario.rules_models import check_models
from loadgen.scenario.rules_routes import check_routes
from loadgen.scenario.rules_target import check_session, check_target, check_timeouts, check_variable
from loadgen.scenario.rules_words import (
    TIMED,
    check_audio,
    check_images,
    check_prefix,
    check_thinking,
    check_workload,
)
from loadgen.scenario.slo import SHARES, Slo
from loadgen.scenario.traffic import Burst, ErrorStop, Load, Stage, Trace, Until
from loadgen.scenario.words import AudioParts, ImageParts, SharedPrefix, Workload


def _check_scenario(v: dict[str, Any], at: Key, r: Reading) -> None:
    """What the load needs of the workloads, and these of each other."""
    check_routes(v, at, r)
    check_models(v, at, r)
    _check_objectives(v, at, r)
    workloads: tuple[Workload, ...] | None = v.get("workloads")
    load: Load | None = v.get("load")
    if workloads is None:
        return
    if not sum(w.weight for w in workloads) > 0:
        r.wrong((*at, "workload"), "has weights that sum to nothing", "give one of them a weight above 0")
    if load is None:
        return
    if load.trace is not None:
        sources = sorted({w.source for w in workloads if w.source not in TIMED})
        if len(workloads) > 1:
            what = f"is the timestamps of one file, and there are {len(workloads)} workloads"
            r.wrong((*at, "load", "trace"), what, "leave one of them")
        elif sources:
            what = f'needs timestamps, and source = "{sources[0]}" has none'
            r.wrong((*at, "load", "trace"), what, f"use one of {', '.join(TIMED)}")
    for i, w in enumerate(workloads):
        place: Key = (*at, "workload") if len(workloads) == 1 else (*at, "workload", i)
        check_thinking(w, load, place, r)


def _check_objectives(v: dict[str, Any], at: Key, r: Reading) -> None:
    """A target whose answers come whole has no first token, and nothing between tokens."""
    slo: Slo | None = v.get("slo")
    targets: tuple[Target, ...] = v.get("targets") or ()
    whole = [t.name for t in targets if not t.stream or t.endpoint in {"images", "embeddings"}]
    if slo is None or not whole:
        return
    for metric in _OF_STREAMS:
        for percentile in getattr(slo, metric):
            what = f'can\'t be met by target "{whole[0]}": its answers come whole'
            r.wrong((*at, "slo", metric, percentile), what, "use e2e, or let it stream")


def _check_slo(v: dict[str, Any], at: Key, r: Reading) -> None:
    if v.get("error_rate") == 1:  # 1 for 1 % is an easy slip
        r.wrong((*at, "error_rate"), "is 100 %, which no run can exceed", 'write it like "1%" or 0.01')


def _check_budget(v: dict[str, Any], at: Key, r: Reading) -> None:
    if v.get("max_usd") == 0:
        r.wrong((*at, "max_usd"), "is 0, and every request costs something", "write a bound above 0")


_OF_STREAMS: Final = tuple(k for k in Slo.__struct_fields__ if k not in {*SHARES, "e2e", "e2e_from_plan"})

RULES: Final[dict[type, Rule]] = {
    Scenario: _check_scenario,
    Target: check_target,
    FromEnv: lambda v, at, r: check_variable(v["env"], (*at, "env"), r) if "env" in v else None,
    SessionKey: check_session,
    Timeouts: check_timeouts,
    Workload: check_workload,
    SharedPrefix: check_prefix,
    ImageParts: check_images,
    AudioParts: check_audio,
    Slo: _check_slo,
    Budget: _check_budget,
    Load: check_load,
    Stage: check_stage,
    Burst: check_burst,
    Trace: check_trace,
    Until: check_until,
    ErrorStop: check_error_stop,
}
