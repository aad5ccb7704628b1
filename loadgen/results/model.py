"""report.json as typed values (format 1). Key names are fixed: scripts rely on them."""

from typing import Any, Final

import msgspec

from loadgen.catalog.price import Price

FORMAT: Final = 1

Interval = tuple[float, float]


class Above(msgspec.Struct, frozen=True):
    """A percentile that lies above a bound: it falls among failures or in the part that was cut off."""

    above: float


class WithFailures(msgspec.Struct, frozen=True):
    """Percentiles over all requests: a failure ranks above every value, a cut-off is censored."""

    count: int
    p50: float | Above | None = None
    p90: float | Above | None = None
    p99: float | Above | None = None


class Dist(msgspec.Struct, frozen=True, omit_defaults=False):
    """One metric's distribution over the successful requests of the window, in the unit of its key.

    ci95 holds the 95 % interval of p50, p90 and p99, None where the sample can't bound the percentile;
    effective: as how many independent values the correlated ones count, where that was estimated.
    A metric without values has count 0 and None everywhere.
    """

    count: int
    mean: float | None = None
    stddev: float | None = None
    min: float | None = None
    max: float | None = None
    p1: float | None = None
    p5: float | None = None
    p10: float | None = None
    p50: float | None = None
    p75: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    p999: float | None = msgspec.field(default=None, name="p99.9")
    ci95: dict[str, Interval | None] = {}
    effective: dict[str, int] = {}
    with_failures: WithFailures | msgspec.UnsetType = msgspec.UNSET


class Requests(msgspec.Struct, frozen=True):
    """Requests of the window: sent = ok + failed + cancelled; `phases` has the outcomes of every phase.

    late: the generator sent it more than 10 ms after its intended time. resent: sent a second time because
    the server had closed the idle connection (in all phases).
    """

    sent: int
    ok: int
    failed: int
    cancelled: int
    outcomes: dict[str, int]
    dropped: int
    late: int
    resent: int
    phases: dict[str, dict[str, int]]


class Tokens(msgspec.Struct, frozen=True):
    """Token sums over the window's requests; source: "usage", "events", "mixed" or None.

    prompt_cache_told: prompt tokens of those requests whose usage tells how many were cached (their number:
    requests_cache_told); only of these is the share of `cached` known.
    """

    prompt: int
    cached: int
    reasoning: int
    output: int
    source: str | None
    sources: dict[str, int]
    prompt_cache_told: int = 0
    requests_cache_told: int = 0


class Rates(msgspec.Struct, frozen=True):
    """Per second of the target's window.

    offered: requests intended for it, dropped ones too. requests, good: successful ones that ended in it,
    whenever they were begun. output_tokens: those that arrived inside it, of any request.
    delivered: requests that left in it.
    """

    offered_requests_per_s: float | None
    requests_per_s: float | None
    output_tokens_per_s: float | None
    good_requests_per_s: float | None
    delivered_requests_per_s: float | None = None


class Sessions(msgspec.Struct, frozen=True):
    """Conversations: begun in the window; ended in it with their last turn; ended in it by a failed turn."""

    begun: int
    ended: int
    failed: int


class RouteReport(msgspec.Struct, frozen=True):
    """One of `[[routes]]`: to which target, when, and what it took.

    share: of the mix's requests. usd: what they cost as far as that is known; None: of none of them.
    """

    to: str
    when: str
    requests: int
    share: float
    usd: float | None


class RoutesReport(msgspec.Struct, frozen=True):
    """What became of the routed mix's requests of the window.

    targets: share of the requests that each target got. escalated: the share that went to another target
    than the one that most went to; escalated_of_risk: of the requests with each label. moved: later turns
    that went to another target than the turn before.
    """

    routes: tuple[RouteReport, ...]
    targets: dict[str, float]
    escalated: float
    escalated_of_risk: dict[str, float]
    moved: int


class GroupReport(msgspec.Struct, frozen=True):
    """The window's requests of one task ("task"), turn ("first", "later") or target of routes ("route").

    metrics: ttft_ms, tpot_ms and e2e_ms.
    """

    by: str
    name: str
    requests: int
    ok: int
    failed: int
    metrics: dict[str, Dist]


class Cost(msgspec.Struct, frozen=True):
    """What a target costs, in USD; None: nothing tells it.

    usd: all requests of all phases, and probe and calibration, which are before_usd too. The figures beside
    it are of the window's requests (window_usd); those without a cost (requests_without_cost, of all) are in
    none. usd_per_month: 730 h of month_requests such ones, free tokens taken off, without the fee for
    support. at_least: only a lower bound of the price is known. Where a machine is paid by the hour, usd is
    what it costs in the window. price: None where each request has one of its own.
    """

    usd: float | None
    usd_per_request: float | None
    usd_per_million_output_tokens: float | None
    price_source: str
    window_usd: float | None = None
    before_usd: float | None = None
    usd_per_thousand_good_requests: float | None = None
    usd_per_image: float | None = None
    usd_per_month: float | None = None
    month_requests: int = 0
    support_usd_per_month: float = 0.0
    requests_without_cost: int = 0
    at_least: bool = False
    price: Price | None = None


class ObjectiveReport(msgspec.Struct, frozen=True):
    """One objective of `[slo]`, as text ("ttft.p99 <= 500ms"), and whether the window met it.

    measured: in ms, tokens or characters a second, or a share from 0 to 1; None: no request has it, and
    `above` a bound: the percentile falls among what failed or was cut off; both are missed.
    note: why the figure says little, where it does.
    """

    objective: str
    measured: float | Above | None
    met: bool
    note: str = ""


class Drift(msgspec.Struct, frozen=True):
    """The median TTFT of the window's second half over that of its first, with its 95 % interval.

    unsettled_s: how much of the window's beginning is not of the steady state (MSER-5).
    """

    ratio: float
    ci95: Interval
    p_value: float
    unsettled_s: float


class SlowGroup(msgspec.Struct, frozen=True):
    """A group of requests that is over-represented in the slowest 1 % by a metric.

    by, name: such as "prompt tokens", "2,048 to 8,191". slow: requests in the slowest; above: the value
    they are above, in the metric's unit. share: the group's share of the slowest; of_all: of all requests.
    """

    metric: str
    by: str
    name: str
    slow: int
    above: float
    share: float
    of_all: float


class TargetReport(msgspec.Struct, frozen=True):
    """One target, at one level of the load where there are several (then its name ends in " @ " and level).

    window_s: its measurement window (in a run ended by count: until its last answer). target: its name alone.
    cost: None where its price is not known.
    groups: by task where there are several, by turn where conversations have several, by route's target.
    routes: of the routed mix only. cached_before: where the run repeats prompts, the share of its first
    turns' prompt tokens that a cache served; None: not told.
    """

    name: str
    model: str
    base_url: str
    endpoint: str
    simulated: bool
    insecure: bool
    window_s: float
    requests: Requests
    tokens: Tokens
    rates: Rates
    errors: dict[str, int]
    metrics: dict[str, Dist]
    series: dict[str, Any]
    cost: Cost | None = None
    slo: tuple[ObjectiveReport, ...] = ()
    target: str = ""
    level: str = ""
    groups: tuple[GroupReport, ...] = ()
    sessions: Sessions | None = None
    routes: RoutesReport | None = None
    drift: Drift | None = None
    rising_ttft_ms: tuple[float, float] | None = None
    slowest: tuple[SlowGroup, ...] = ()
    cached_before: float | None = None


class Comparison(msgspec.Struct, frozen=True):
    """One figure of two sides; difference = other - base, with its 95 % interval.

    metric: a key of `metrics`, "error_rate" or "usd_per_request". percentile: such as "p99"; None of a share
    or a mean. verdict: "better" and "worse" are the other's and hold after the correction (p_value) for all
    that is told at once; "no difference shown"; "not bounded": too few samples; "no verdict": the two can't
    be compared by it. could_have_shown: the smallest change (0.1: 10 %) that would have been shown in four of
    five such comparisons. requests, independent: of base and other, where a percentile is not bounded: how
    many successful requests have the metric, and as how many independent ones they count.
    """

    metric: str
    percentile: str | None
    base_target: str
    other_target: str
    base: float | None
    other: float | None
    verdict: str
    difference: float | None = None
    ci95: Interval | None = None
    ratio: float | None = None
    ratio_ci95: Interval | None = None
    p_value: float | None = None
    could_have_shown: float | None = None
    requests: tuple[int, int] | None = None
    independent: tuple[int, int] | None = None


class Verdict(msgspec.Struct, frozen=True):
    """state: "valid", "suspect" or "invalid"; reasons in words a user can act on."""

    state: str
    reasons: tuple[str, ...] = ()


class Instrument(msgspec.Struct, frozen=True):
    """How the generator itself fared. None: not known (the run was killed before it could say).

    loop_lag_ms: how late the event loop got to what was due, sampled 100 times a second.
    cpu_share: CPU time of the generator over wall time, of one core; cpu_share_max: worst second.
    core_waited_share: of the time, how much it was ready to run while its core had something else to do.
    instants: "kernel": of every read the kernel said when it arrived; "loop": of some it did not, so their
    instant is when they were read. clock_set_ms: by how much the clock was set that the kernel's are on.
    arrivals: requests planned for the window and begun; of an open loop those of `Arrivals.summary`.
    """

    loop_lag_ms: Dist
    send_lag_ms: Dist
    cpu_share: float | None
    cpu_share_max: float | None
    gc_pause_ms_max: float | None
    gc_collections: int
    connections_max: int | None
    rss_mb_max: float | None
    arrivals: dict[str, Any]
    core_waited_share: float | None = None
    instants: str = "loop"
    clock_set_ms: float | None = None


class Run(msgspec.Struct, frozen=True):
    """The run as a whole. epoch_ns: instant of offset 0 on the generator's monotonic clock.

    open_loop: sessions arrived by a schedule. stopped_by: what ended it: "duration", "requests", "until",
    "errors", "prompts" (used up), "budget", "user"; None: not known. set_aside: what `too_long` did with
    prompts. max_usd: the budget; None: there was none. repeats_prompts: they have the mark of an earlier run,
    and no other beginning in common.
    """

    id: str
    scenario: str
    description: str
    started_at: str
    wall_s: float
    window_s: float
    seed: int
    workers: int
    digest: str
    simulated: bool
    interrupted: bool
    complete: bool
    host: dict[str, Any]
    labels: dict[str, str]
    load: dict[str, Any]
    epoch_ns: int
    open_loop: bool = False
    stopped_by: str | None = None
    set_aside: dict[str, int] = {}
    max_usd: float | None = None
    repeats_prompts: bool = False


class Report(msgspec.Struct, frozen=True):
    """report.json. `complete` in run is false for a run that was killed and read back.

    comparison: of the first target with each other. comparison_flags: what to know before believing it.
    """

    format: int
    loadgen: str
    run: Run
    verdict: Verdict
    instrument: Instrument
    targets: tuple[TargetReport, ...]
    comparison: tuple[Comparison, ...] = ()
    comparison_flags: tuple[str, ...] = ()
