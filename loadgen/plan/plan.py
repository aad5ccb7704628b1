"""The schedule of a run, laid down before it begins and never moved.

Closed loop: `concurrency` or `users` places a target. Each place begins its first session at a planned time
and its next one in the moment the former ends, so only the first starts are laid down. Open loop: every
arrival is laid down, the same for all targets. A target's sessions are numbered in the order in which they
begin, and the number decides the prompt: all targets get the same ones.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadgen.errors import ScenarioError
from loadgen.plan import arrivals, places
from loadgen.scenario.model import Scenario
from loadgen.scenario.traffic import Load, Mode
from loadgen.scenario.words import Workload
from loadgen.units import format_rate
from loadgen.workload.prompt import Int64s, Prompts

FOREVER: Final = places.FOREVER
_CLOSED: Final = ("concurrency", "users", "one_at_a_time")
_EMPTY: Final = np.empty(0, dtype=np.int64)
_START: Final = attrgetter("start_ns")


@dataclass(frozen=True, slots=True)
class Level:
    """One load in a run, with a warm-up and a window of its own; times are ns from the run's epoch.

    label: "8" or "20/s"; "" where the run has one level. value: places, users or sessions a second; the size
    of a burst; 0 where there is no one value (stages, a trace). start_ns: its first session may begin; the
    level before it ends then. window_ns: (start_ns + warm-up, end); end None: the count alone ends it.
    """

    label: str
    value: float
    start_ns: int
    window_ns: tuple[int, int | None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is going to happen; all times are ns from the run's epoch.

    levels: at least one; one ends where the next starts.
    when_ns: sorted, int64. Closed loop, shape (starts,): when places begin. Open loop, shape (arrivals,):
    when sessions arrive, at every target.
    until_ns, place, target: closed loop, shape (starts,): a place begins no session from until_ns on
    (FOREVER: to the window's end); targets take turns in going first, so that drift and order hit all alike.
    A place that goes and comes again is there twice. Open loop: empty.
    session: open loop: the session of each arrival where arrival i is not first_session + i * stride.
    first_session, stride: a target's sessions are numbered first_session, first_session + stride, ...
    requests: how many sessions of a level's window each target gets at most.
    knots_ns, knots_per_s: the planned rate of an open loop, straight between its knots (two at one instant:
    a step); empty for a burst, a trace and a closed loop.
    digest: hex SHA-256 of all that decides the load and the words.
    """

    mode: Mode
    levels: tuple[Level, ...]
    when_ns: Int64s
    until_ns: Int64s
    place: Int64s
    target: Int64s
    session: Int64s | None
    targets: int
    first_session: int
    stride: int
    ramp_ns: int
    grace_ns: int
    requests: int | None
    knots_ns: Int64s
    knots_per_s: NDArray[np.float64]
    digest: str

    @property
    def open_loop(self) -> bool:
        """Whether sessions arrive by the schedule, whatever becomes of those before them."""
        return self.mode not in _CLOSED

    @property
    def places(self) -> int:
        """Closed loop: the most places at any one time, over all targets. Open loop: 0, nothing bounds it."""
        return 0 if not len(self.place) else (int(self.place.max()) + 1) * self.targets

    def phase(self, intended_ns: int) -> tuple[int, str] | None:
        """Return the number of the level and "warmup" or "measure"; None after the last window."""
        number = max(0, bisect_right(self.levels, intended_ns, key=_START) - 1)
        begin, end = self.levels[number].window_ns
        if intended_ns < begin:
            return number, "warmup"
        return (number, "measure") if end is None or intended_ns < end else None

    def arrivals_in(self, level: Level) -> int:
        """Open loop: how many sessions arrive at each target in the level's window."""
        start, end = level.window_ns
        last = len(self.when_ns) if end is None else int(np.searchsorted(self.when_ns, end))
        return max(0, last - int(np.searchsorted(self.when_ns, start)))

    def while_prompts_last(self, count: int | None) -> "Plan":
        """Open loop: the plan without the arrivals that `count` prompts do not suffice for; None: no end.

        A trace's sessions come again, so that theirs suffice.
        """
        if count is None or not self.open_loop or self.session is not None:
            return self
        return replace(self, when_ns=self.when_ns[: len(range(self.first_session, count, self.stride))])

    def shard(self, i: int, n: int) -> "Plan":
        """Part i of n: every n-th place, session and counted request; all parts together are the plan.

        With fewer places than parts, the parts without a place have nothing to do, and no share in the count.
        """
        if self.open_loop:
            return self._shard_of_arrivals(i, n)
        n = min(n, max(1, self.places // self.targets))
        mine = self.place % n == i
        return replace(
            self,
            when_ns=self.when_ns[mine],
            until_ns=self.until_ns[mine],
            place=self.place[mine] // n,
            target=self.target[mine],
            first_session=self.first_session + i * self.stride,
            stride=self.stride * n,
            requests=None if self.requests is None else len(range(i, self.requests, n)) if i < n else 0,
        )

    def _shard_of_arrivals(self, i: int, n: int) -> "Plan":
        counted = None
        if self.requests is not None:
            # the counted ones of a level follow each other, beginning anywhere in the turns of the parts
            begins = np.searchsorted(self.when_ns, [level.window_ns[0] for level in self.levels])
            counted = max(len(range((i - int(first)) % n, self.requests, n)) for first in begins)
        return replace(
            self,
            when_ns=self.when_ns[i::n],
            session=None if self.session is None else self.session[i::n],
            first_session=self.first_session + i * self.stride,
            stride=self.stride * n,
            knots_per_s=self.knots_per_s / n,
            requests=counted,
        )


def build(scenario: Scenario, prompts: Prompts) -> Plan:
    """Lay down the plan: of (scenario, its seed, the prompts) alone, the same to the byte every time.

    Raises:
        ScenarioError: nothing would arrive in a window, or more than a plan can hold.
    """
    load = scenario.load
    return _open(scenario, prompts) if load.open_loop else _closed(scenario, prompts)


def planned_counts(plan: Plan, edges_ns: Sequence[int] | Int64s) -> Int64s:
    """Count what begins in each bin [edges_ns[i], edges_ns[i + 1]): shape (edges - 1,).

    Open loop: arrivals at each target. Closed loop: the starts of places, over all targets.
    """
    return np.diff(np.searchsorted(plan.when_ns, edges_ns)).astype(np.int64)


def _closed(scenario: Scenario, prompts: Prompts) -> Plan:
    load, targets = scenario.load, len(scenario.series)
    levels = _levels(load)
    counts = [int(level.value) for level in levels]
    if load.requests is not None and not load.warmup_ns:
        counts = [min(n, int(load.requests)) for n in counts]  # further places would never get a request
    starts = places.lay_out(counts, [level.start_ns for level in levels], int(load.ramp_ns), targets)
    return Plan(
        mode=load.mode,
        levels=levels,
        when_ns=starts.when_ns,
        until_ns=starts.until_ns,
        place=starts.place,
        target=starts.target,
        session=None,
        targets=targets,
        first_session=0,
        stride=1,
        ramp_ns=int(load.ramp_ns),
        grace_ns=int(load.grace_ns),
        requests=None if load.requests is None else int(load.requests),
        knots_ns=_EMPTY,
        knots_per_s=np.empty(0),
        digest=_digest(scenario, prompts),
    )


def _open(scenario: Scenario, prompts: Prompts) -> Plan:
    load = scenario.load
    levels, laid = _arrivals(scenario, prompts)
    kept = _within_count(laid.when_ns, levels, load.requests)
    when = laid.when_ns if kept is None else laid.when_ns[kept]
    session = laid.session if kept is None or laid.session is None else laid.session[kept]
    if not any(_inside(when, level.window_ns) for level in levels):
        remedy = "write a longer duration, a shorter warmup or a higher rate"
        raise ScenarioError(f"load.{load.mode}", "no session would arrive in the window", remedy)
    return Plan(
        mode=load.mode,
        levels=levels,
        when_ns=when,
        until_ns=_EMPTY,
        place=_EMPTY,
        target=_EMPTY,
        session=session,
        targets=len(scenario.series),
        first_session=0,
        stride=1,
        ramp_ns=int(load.ramp_ns),
        grace_ns=int(load.grace_ns),
        requests=None if load.requests is None else int(load.requests),
        knots_ns=laid.knots[0],
        knots_per_s=laid.knots[1],
        digest=_digest(scenario, prompts, *([when] if session is None else [when, session])),
    )


def _arrivals(scenario: Scenario, prompts: Prompts) -> tuple[tuple[Level, ...], arrivals.Arrivals]:
    load, seed = scenario.load, scenario.seed
    if load.mode == "rate":
        levels = _levels(load)
        starts = [level.start_ns for level in levels]
        return levels, arrivals.of_rate(load, seed, [level.value for level in levels], starts)
    value = 0.0
    if load.burst is not None:
        laid, value = arrivals.of_burst(load, load.burst), float(load.burst.size)
    elif load.trace is not None:
        laid = arrivals.of_trace(load, load.trace, prompts.arrivals_ns)
    else:
        laid = arrivals.of_stages(load, seed)
    return (Level("", value, 0, (int(load.warmup_ns), laid.end_ns)),), laid


def _levels(load: Load) -> tuple[Level, ...]:
    """The levels of concurrency, users or rate, one after the other, each with its warm-up and duration."""
    one = load.rate_per_s or load.users or (load.concurrency if load.mode == "concurrency" else None) or 1
    values: tuple[float, ...] = load.levels or (one,)
    levels: list[Level] = []
    start = 0
    for value in values:
        begin = start + int(load.warmup_ns)
        end = None if load.duration_ns is None else begin + int(load.duration_ns)
        text = format_rate(value) if load.mode == "rate" else str(int(value))
        again = sum(level.value == value for level in levels)
        label = "" if len(values) == 1 else f"{text} ({again + 1})" if again else text
        levels.append(Level(label, float(value), start, (begin, end)))
        start = begin if end is None else end
    return tuple(levels)


def _inside(when_ns: Int64s, window_ns: tuple[int, int | None]) -> range:
    """Which of the sorted times are in a window."""
    begin, end = window_ns
    first, last = np.searchsorted(when_ns, [begin, FOREVER if end is None else end])
    return range(int(first), int(last))


def _within_count(when_ns: Int64s, levels: Sequence[Level], requests: int | None) -> NDArray[np.bool_] | None:
    """Which arrivals are left when each window holds at most so many; None: all."""
    inside = [_inside(when_ns, level.window_ns) for level in levels]
    if requests is None or all(len(found) <= requests for found in inside):
        return None
    kept = np.ones(len(when_ns), dtype=np.bool_)
    for found in inside:
        kept[found.start + int(requests) : found.stop] = False
    return kept


def _digest(scenario: Scenario, prompts: Prompts, *arrays: Int64s) -> str:
    """SHA-256 over what decides the load and the words; names of targets and reports don't.

    Nor does a context by itself: where it leaves out or shortens prompts, it is in these's digest.
    """
    names = [t.name for t in scenario.targets]
    decisive = (
        scenario.seed,
        [_decisive(w) for w in scenario.workloads],
        scenario.load,
        [(t.endpoint, t.stream, t.extra_body, t.session, t.alone) for t in scenario.targets],
        [msgspec.structs.replace(r, to=str(names.index(r.to))) for r in scenario.routes],
        prompts.contents_digest,
    )
    digest = hashlib.sha256(msgspec.json.encode(decisive, enc_hook=_plain, order="sorted"))
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype="<i8").data)
    return digest.hexdigest()


def _decisive(w: Workload) -> Workload:
    """Take out what files are called (what is in them counts), and what is measured or drawn afresh."""
    images, audio = w.images, w.audio
    return msgspec.structs.replace(
        w,
        salt=bool(w.salt),
        file=None,
        tokenizer=None,
        chars_per_token=None,
        overhead_tokens=None,
        images=None if images is None else msgspec.structs.replace(images, files=()),
        audio=None if audio is None else msgspec.structs.replace(audio, files=()),
    )


def _plain(value: Any) -> object:
    """Counts, durations, rates and shares are numbers of types of their own."""
    return float(value) if isinstance(value, float) else int(value)
