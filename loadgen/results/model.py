"""report.json as typed values (format 1). Key names are fixed: scripts rely on them."""

from typing import Any, Final

import msgspec

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

    ci95 holds the 95 % interval of p50, p90 and p99, None where the sample can't bound the percentile.
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


class GroupReport(msgspec.Struct, frozen=True):
    """The window's requests of one task ("task"), or of the "first" or the "later" turns ("turn").

    metrics: ttft_ms, tpot_ms and e2e_ms.
    """

    by: str
    name: str
    requests: int
    ok: int
    failed: int
    metrics: dict[str, Dist]


class TargetReport(msgspec.Struct, frozen=True):
    """One target, at one level of the load where there are several (then its name ends in " @ " and level).

    window_s: its measurement window (in a run ended by count: until its last answer). target: its name alone.
    groups: by task where there are several, by turn where conversations have several.
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
    cost: None = None
    slo: tuple[()] = ()
    target: str = ""
    level: str = ""
    groups: tuple[GroupReport, ...] = ()
    sessions: Sessions | None = None


class Verdict(msgspec.Struct, frozen=True):
    """state: "valid", "suspect" or "invalid"; reasons in words a user can act on."""

    state: str
    reasons: tuple[str, ...] = ()


class Instrument(msgspec.Struct, frozen=True):
    """How the generator itself fared. None: not known (the run was killed before it could say).

    loop_lag_ms: how late the event loop got to what was due, sampled 100 times a second.
    cpu_share: CPU time of the generator over wall time, of one core; cpu_share_max: worst second.
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


class Run(msgspec.Struct, frozen=True):
    """The run as a whole. epoch_ns: instant of offset 0 on the generator's monotonic clock.

    open_loop: sessions arrived by a schedule. stopped_by: what ended it: "duration", "requests", "until",
    "errors", "prompts" (used up), "user"; None: not known. set_aside: what `too_long` did with prompts.
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


class Report(msgspec.Struct, frozen=True):
    """report.json. `complete` in run is false for a run that was killed and read back."""

    format: int
    loadgen: str
    run: Run
    verdict: Verdict
    instrument: Instrument
    targets: tuple[TargetReport, ...]
