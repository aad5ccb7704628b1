"""The rules, as a table. A rule reads a report and gives reasons (none: nothing to say).

The first four look at what was observed directly (lateness, CPU), not at statistics of the endpoint, so a
good run raises none of them by chance.
"""

import math
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec

from loadgen.measure.metrics import METRICS
from loadgen.results.model import Dist, Report, TargetReport, Verdict
from loadgen.units import NS_PER_MS, format_ms, format_number

LAG_SUSPECT_MS: Final = 1.0
LAG_INVALID_MS: Final = 10.0
LAG_SEEN_MS: Final = 10.0  # the kernel's instants don't depend on it, but sending and gaps do
LAG_INVALID_SHARE: Final = 0.1
CPU_SUSPECT: Final = 0.85
SEND_LAG_SUSPECT_MS: Final = 10.0
FEW: Final = 36  # 0.9^36 < 2.5 %: the largest of fewer values may well be below p90

QUIET_CPU: Final = 0.5
WAITED: Final = 0.005  # half of what a p99 sees
FAILED_SUSPECT: Final = 0.05
OFF_PLAN: Final = 0.01  # the share of arrivals that may be delivered more than 1 ms after their planned time
RATE_OFF: Final = 0.005
HELD_BACK: Final = 0.01  # the share of arrivals that a cap may hold back before it is said: what a p99 sees
FALSE_ALARM: Final = 0.001
DRIFT: Final = 0.1  # how far the medians of a window's halves may be apart, with 95 % confidence
WARM: Final = 0.5  # the share of prompt tokens from a cache; a chat template alone is far less
SHORTEST_S: Final = 1.0  # of a shorter run half a percent is within a stall of 5 ms


class Rule(NamedTuple):
    """One rule: the state a run falls to, and what finds the reasons."""

    name: str
    state: str
    reasons: Callable[[Report], Iterator[str]]


def _fastest_ttft_ms(report: Report) -> float | None:
    medians = [t.metrics["ttft_ms"].p50 for t in report.targets]
    return min((m for m in medians if m is not None), default=None)


def _lag_is_gross(report: Report) -> bool:
    """Only a lag that is gross with 95 % confidence: the p99 of a short run rests on two or three stalls.

    None is where the kernel said when reads arrived.
    """
    if report.instrument.instants == "kernel":
        return False
    bounds, ttft = report.instrument.loop_lag_ms.ci95.get("p99"), _fastest_ttft_ms(report)
    return (
        bounds is not None and ttft is not None and bounds[0] > max(LAG_INVALID_MS, LAG_INVALID_SHARE * ttft)
    )


def _remedy(report: Report) -> str:
    """Say what to do about lateness: a generator that was hardly busy was kept from its core by others."""
    share, waited = report.instrument.cpu_share, report.instrument.core_waited_share
    if waited is not None and waited > WAITED and (share is None or share < CPU_SUSPECT):
        had = f"something else had its core {waited:.1%} of the time"
        return f"{had}: use a quieter machine, or real-time priority (chrt --rr 1 loadgen ...)"
    if share is not None and share < QUIET_CPU:
        return f"it used {share:.0%} of a core, so something else kept it from running: use a quieter machine"
    return "lower the load"


def _loop_lag(report: Report) -> Iterator[str]:
    lag, kernel = report.instrument.loop_lag_ms.p99, report.instrument.instants == "kernel"
    if lag is None or lag <= (LAG_SEEN_MS if kernel else LAG_SUSPECT_MS) or _lag_is_gross(report):
        return
    what = "so were its requests, and shorter gaps may be missing" if kernel else "so may be its TTFT"
    yield f"the generator was late by {format_ms(lag)} ms at p99, and {what}: {_remedy(report)}"


def _clock(report: Report) -> Iterator[str]:
    by = report.instrument.clock_set_ms
    if by and report.instrument.instants == "kernel":
        what = f"the system's clock was set by {format_ms(by)} ms in all"
        yield f"{what}, and requests of that moment are wrong by as much: have it adjusted by its speed alone"


def _loop_lag_gross(report: Report) -> Iterator[str]:
    if _lag_is_gross(report):
        lag = report.instrument.loop_lag_ms.p99 or 0.0
        late = f"the generator was late by {format_ms(lag)} ms at p99"
        yield f"{late}, too much for this TTFT: {_remedy(report)}"


def _cpu(report: Report) -> Iterator[str]:
    share = report.instrument.cpu_share
    if share is not None and share > CPU_SUSPECT:
        yield f"the generator was {share:.0%} busy: lower the load"


def _send_lag(report: Report) -> Iterator[str]:
    if report.instrument.arrivals.get("delayed"):
        return  # the cap's doing, and shown as such; what is not is seen by the rule for arrivals
    late = any(_loop_lag(report)) or _lag_is_gross(report)
    remedy = _remedy(report) if late else "a longer ramp, fewer streams or more max_connections"
    for target in report.targets:
        lag = target.metrics["send_lag_ms"].p99
        if lag is not None and lag > SEND_LAG_SUSPECT_MS:
            yield f"{target.name}: requests left {format_ms(lag)} ms after their time at p99: {remedy}"


def tail_bound(n: int, k: int, p: float) -> float:
    """Bound the chance that of n independent events of probability p at least k happen (Chernoff 1952)."""
    share = k / n if n else 0.0
    if share <= p:
        return 1.0
    divergence = share * math.log(share / p)
    if share < 1:
        divergence += (1 - share) * math.log((1 - share) / (1 - p))
    return math.exp(-n * divergence)


def _arrivals(report: Report) -> Iterator[str]:
    """Compare the arrivals of an open loop with the plan's; those that the cap held back are left out.

    An arrival of a good run is off its plan with at most OFF_PLAN chance, so this is raised in at most
    FALSE_ALARM of them.
    """
    known = report.instrument.arrivals
    early, sent, off = (known.get(key) or 0 for key in ("max_early_ns", "sent", "off_plan"))
    if early > 0:
        by = format_ms(early / NS_PER_MS)
        yield f"requests left up to {by} ms before their planned time: report this as a bug"
    if tail_bound(sent, off, OFF_PLAN) < FALSE_ALARM:
        what = f"{off:,} of {sent:,} arrivals were delivered more than 1 ms after their planned time"
        at_once = "many were planned for one moment, and leave one after the other"
        of_burst = f"{at_once}: read TTFT from plan, which counts it, or make the burst smaller"
        yield f"{what}: {of_burst if 'burst' in report.run.load else _remedy(report)}"


def _held_back(report: Report) -> Iterator[str]:
    """What was measured is then another load than the one that was asked for."""
    known, cap = report.instrument.arrivals, report.run.load.get("max_in_flight")
    planned, dropped, delayed = (known.get(key) or 0 for key in ("planned", "dropped", "delayed"))
    if cap is None or dropped + delayed <= HELD_BACK * planned:
        return
    of, full = f"of {planned:,} arrivals", f"max_in_flight = {cap} requests were under way"
    if report.run.load.get("over_cap") == "drop":
        remedy = "the figures are of the rest: a higher cap, or a lower rate"
        yield f"{dropped:,} {of} were dropped, {full}: {remedy}"
        return
    vain = f", {dropped:,} of them in vain until the end" if dropped else ""
    remedy = "only TTFT from plan counts that: a higher cap, or a lower rate"
    yield f"{dropped + delayed:,} {of} had to wait{vain}, {full}: {remedy}"


def _not_known(report: Report) -> Iterator[str]:
    """Say of each percentile that was to be known before the end how well it is."""
    ended_by = report.run.stopped_by
    for rule in report.run.load.get("until", ()) if ended_by in ("duration", "requests", "prompts") else ():
        key = next(m.key for m in METRICS if m.name == rule["metric"])
        p, asked = f"p{rule['percentile']:g}", rule["relative"]
        for target in report.targets:
            dist = target.metrics.get(key, Dist(0))
            middle, bounds = getattr(dist, p.replace(".", ""), None), dist.ci95.get(p)
            within = "is not known so closely" if p not in dist.ci95 else "is not bounded"
            if middle and bounds:
                off = max(bounds[1] - middle, middle - bounds[0]) / middle
                if off <= asked:
                    continue
                within = f"is known within {off:.0%}"
            what = f"{rule['metric']} {p} {within}, until asked for {asked:.0%}"
            yield f"{target.name}: {what}: a longer run, or a percentile that needs fewer requests"


def _arrival_rate(report: Report) -> Iterator[str]:
    """Raised by no chance: a rate is off by the lag of two arrivals, and of those that were not sent."""
    known = report.instrument.arrivals
    planned, delivered = known.get("rate_planned_per_s"), known.get("rate_delivered_per_s")
    if not planned or not delivered or (known.get("span_s") or 0.0) < SHORTEST_S:
        return
    ran_out = report.run.stopped_by in ("prompts", "budget")
    held_back = known.get("dropped", 0) or known.get("delayed", 0) or ran_out
    if not held_back and abs(delivered / planned - 1) > RATE_OFF:
        rates = f"{format_number(delivered)} arrivals/s were delivered of {format_number(planned)} planned"
        yield f"{rates} (for each target): {_remedy(report)}"


def _no_success(report: Report) -> Iterator[str]:
    for target in report.targets:
        if not target.requests.sent:
            yield f"{target.name}: no request began in the measurement window: make it longer"
        elif not target.requests.ok:
            common = next(iter(target.errors), "all were cut off; give a longer grace time")
            yield f"{target.name}: none of {target.requests.sent:,} requests succeeded: {common}"


def _mostly_lost(report: Report, target: TargetReport) -> bool:
    """Whether more than half of the requests failed or were cut off (but not by the user's interruption)."""
    requests = target.requests
    lost = requests.failed + (0 if report.run.interrupted else requests.cancelled)
    return requests.ok > 0 and lost > requests.ok


def _most_lost(report: Report) -> Iterator[str]:
    """The percentiles of a minority say nothing of the rest, and gates on them less."""
    for target in report.targets:
        requests = target.requests
        if _mostly_lost(report, target):
            lost = f"{requests.failed:,} failed and {requests.cancelled:,} were cut off"
            what = f"only {requests.ok:,} of {requests.sent:,} requests were answered, {lost}"
            why = f"most often: {next(iter(target.errors))}" if target.errors else "lower the load"
            yield f"{target.name}: {what}: its figures are of those few; {why}"


def _failures(report: Report) -> Iterator[str]:
    for target in report.targets:
        failed, sent = target.requests.failed, target.requests.sent
        if target.requests.ok and failed > FAILED_SUSPECT * sent and not _mostly_lost(report, target):
            common = next(iter(target.errors), "see its errors")
            yield f"{target.name}: {failed:,} of {sent:,} requests failed, most often: {common}"


def _cut_off(report: Report) -> Iterator[str]:
    for target in report.targets:
        cut, sent = target.requests.cancelled, target.requests.sent
        many = cut > FAILED_SUSPECT * sent and not _mostly_lost(report, target)
        if target.requests.ok and many and not report.run.interrupted:
            what = f"{cut:,} of {sent:,} requests still ran at the end of the grace time and were cut off"
            yield f"{target.name}: {what}, the slow ones first: a longer grace, or a lower load"


def _rising(report: Report) -> Iterator[str]:
    for target in report.targets:
        if target.rising_ttft_ms is not None:
            first, last = map(format_ms, target.rising_ttft_ms)
            what = f"TTFT rose throughout the window, from {first} to {last} ms at the median"
            why = "it does not keep up, and its figures depend on how long the window is"
            yield f"{target.name}: {what}: {why}: lower the load"


def _short_window(report: Report) -> Iterator[str]:
    for target in report.targets:
        takes_ms = target.metrics["e2e_ms"].p50
        if takes_ms is not None and target.window_s * 1000 < takes_ms:
            takes = f"a request takes {format_ms(takes_ms)} ms at the median"
            what = f"the window is {target.window_s:.3g} s long and {takes}"
            yield f"{target.name}: {what}: rates in it say little: make it longer"


def _few(report: Report) -> Iterator[str]:
    for target in report.targets:
        if 0 < target.requests.ok < FEW:
            what = f"{target.requests.ok} successful requests are too few"
            yield f"{target.name}: {what}: measure at least {FEW}, to bound p90 100, to bound p99 1,000"


def _drift(report: Report) -> Iterator[str]:
    """Raised by less than chance: the whole interval lies beyond the bound, at a level for all targets."""
    for target in report.targets:
        moved = target.drift
        if moved is None or moved.p_value > FALSE_ALARM / len(report.targets):
            continue
        low, high = moved.ci95
        if not (low > 1 + DRIFT or high < 1 / (1 + DRIFT)):
            continue
        by = f"{100 * abs(moved.ratio - 1):.0f} % {'above' if moved.ratio > 1 else 'below'}"
        what = f"TTFT of the window's second half is {by} that of its first, at the median"
        remedy = "the endpoint had not settled: a longer warmup and window, or a lower load"
        if moved.unsettled_s and moved.ratio < 1:
            remedy = f"its first {moved.unsettled_s:g} s were still warming up: a longer warmup"
        yield f"{target.name}: {what}: {remedy}"


def _warm_cache(report: Report) -> Iterator[str]:
    """Raised by no chance: within a run these prompts have nothing in common that a cache could know."""
    for target in report.targets:
        if target.cached_before is not None and target.cached_before > WARM:
            what = f"{target.cached_before:.0%} of the prompt tokens came from the server's cache"
            why = "it knew these prompts, the salt is that of an earlier run"
            yield f"{target.name}: {what}: {why}: set workload.salt to true for a cold one"


def _client_errors(report: Report) -> Iterator[str]:
    for target in report.targets:
        if failed := target.requests.outcomes.get("client_error", 0):
            what = f"{failed} requests failed on this machine, not at the endpoint"
            yield f"{target.name}: {what}: {next(iter(target.errors), 'see its errors')}"


def _mixed_tokens(report: Report) -> Iterator[str]:
    for target in report.targets:
        if target.tokens.source == "mixed":
            counts = ", ".join(f"{n} by {source}" for source, n in target.tokens.sources.items())
            yield f"{target.name}: tokens were counted in different ways ({counts}): token figures are mixed"


def _unfinished(report: Report) -> Iterator[str]:
    if not report.run.complete:
        yield "the run was killed, or still goes on: this is what it had written down by then"
    elif report.run.interrupted:
        yield f"interrupted by the user: the window was closed after {report.run.window_s:.1f} s"


RULES: Final[tuple[Rule, ...]] = (
    Rule("loop lag, gross", "invalid", _loop_lag_gross),
    Rule("loop lag", "suspect", _loop_lag),
    Rule("clock", "suspect", _clock),
    Rule("held back by the cap", "suspect", _held_back),
    Rule("CPU share", "suspect", _cpu),
    Rule("send lag", "suspect", _send_lag),
    Rule("arrivals off their plan", "suspect", _arrivals),
    Rule("arrival rate", "suspect", _arrival_rate),
    Rule("no success", "invalid", _no_success),
    Rule("errors of this machine", "invalid", _client_errors),
    Rule("most were lost", "invalid", _most_lost),
    Rule("failures", "suspect", _failures),
    Rule("cut off", "suspect", _cut_off),
    Rule("rising", "suspect", _rising),
    Rule("short window", "suspect", _short_window),
    Rule("few samples", "suspect", _few),
    Rule("until", "suspect", _not_known),
    Rule("drift", "suspect", _drift),
    Rule("warm cache", "suspect", _warm_cache),
    Rule("token sources", "suspect", _mixed_tokens),
    Rule("unfinished", "suspect", _unfinished),
)
_ORDER: Final = ("valid", "suspect", "invalid")


def judge(report: Report) -> Report:
    """Return the report with its verdict: the worst state any rule gives, reasons worst first."""
    found = [(_ORDER.index(rule.state), reason) for rule in RULES for reason in rule.reasons(report)]
    found.sort(key=lambda item: -item[0])
    state = _ORDER[max((worst for worst, _ in found), default=0)]
    return msgspec.structs.replace(report, verdict=Verdict(state, tuple(reason for _, reason in found)))
