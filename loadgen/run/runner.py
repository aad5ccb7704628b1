"""One event loop that carries out a plan: phases, what ends the window, grace, interruption."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import numpy as np

from loadgen.measure.arrivals import Arrivals
from loadgen.measure.health import Health
from loadgen.measure.recorder import LevelWindow, Recorder, TargetRecorder
from loadgen.measure.sample import Sample
from loadgen.plan.plan import Plan
from loadgen.run.closed import ClosedLoop
from loadgen.run.ends import Enough, ErrorShare
from loadgen.run.open import OpenLoop
from loadgen.run.pacer import Pacer
from loadgen.run.purse import Purse
from loadgen.run.routes import Routed
from loadgen.run.stage import Stage, Window
from loadgen.scenario.traffic import Load
from loadgen.units import NS_PER_MS, NS_PER_S
from loadgen.wire.client import Client
from loadgen.wire.decode_queue import DecodeQueue
from loadgen.wire.stopwatch import now_ns
from loadgen.wire.timeline import Timeline
from loadgen.workload.prompt import Prompts

TICK_S: Final = 0.1
TICKS_A_SECOND: Final = 10
_TICK_NS: Final = 300_000  # what a part of a tick takes
_PAUSES: Final = 500
_CUT_GRACE: Final = "cut off: still running at the end of the grace time"
_CUT_USER: Final = "cut off by the user"


class Runner:
    """Carries out one plan against its clients.

    load: the scenario's, for what ends the window early and what caps it. record: called with every sample
    (and its timeline) once decoded. each_tick: called about every 100 ms with the number of the tick.
    purse: None: no budget. `interrupt()` once stops sending and drains, twice cuts off.
    """

    def __init__(
        self,
        plan: Plan,
        load: Load,
        clients: Sequence[Client | Routed],
        *,
        prompts: Prompts,
        queue: DecodeQueue,
        recorder: Recorder,
        record: Callable[[Sample, Timeline], None],
        each_tick: Callable[["Runner", int], None],
        purse: Purse | None = None,
    ) -> None:
        self.plan = plan
        self.clients = clients
        self.recorder = recorder
        self.interrupted = False
        self.stopped_by: str | None = None
        self.arrivals = Arrivals()
        self._prompts = prompts.count
        self._queue = queue
        queue.give_way(self._next_send)
        self._enough = Enough(load.until) if load.until else None
        if self._enough is not None:
            record = self._enough.noting(record)
        self._record = record
        self._each_tick = each_tick
        loop = asyncio.get_running_loop()
        self.health = Health(loop)
        self.stage = Stage(
            plan,
            clients,
            prompts,
            record=self._arrived if plan.open_loop else record,
            drop=self._drop,
            starts=Pacer(loop),
            thoughts=Pacer(loop),
            purse=purse,
            broke=self._broke,
        )
        self.loop: ClosedLoop | OpenLoop = ClosedLoop(self.stage)
        if plan.open_loop:
            cap = None if load.max_in_flight is None else int(load.max_in_flight)
            self.loop = OpenLoop(self.stage, most=cap, drops=load.over_cap == "drop")
        self._errors = None if load.stop_at_errors is None else ErrorShare(load.stop_at_errors)
        self._stop = asyncio.Event()
        self._stopped_ns = 0
        self._cut: str | None = None
        self._cut_now = asyncio.Event()

    # what the view asks

    @property
    def epoch_ns(self) -> int:
        """Instant of offset 0 on the monotonic clock."""
        return self.stage.epoch_ns

    @property
    def elapsed_ns(self) -> int:
        """Time since the epoch."""
        return self.stage.elapsed_ns

    @property
    def level(self) -> int:
        """Index of the level that is on."""
        now, levels = self.elapsed_ns, self.plan.levels
        return max(i for i, level in enumerate(levels) if i == 0 or level.start_ns <= now)

    def level_recorders(self) -> list[TargetRecorder]:
        """What is known of every target at the level that is on."""
        return [self.recorder.at_levels(c.target.name)[self.level] for c in self.clients]

    def windows(self) -> tuple[LevelWindow, ...]:
        """The windows of all levels, as they are now."""
        return tuple(r.level for r in self.recorder.at_levels(self.clients[0].target.name))

    @property
    def window_ns(self) -> Window:
        """The window of the level that is on."""
        return self.stage.windows_ns[self.level]

    @property
    def end_ns(self) -> int | None:
        """The end of the last window; None: a count ends it."""
        return self.stage.windows_ns[-1][1]

    @property
    def sending(self) -> bool:
        """Whether new sessions still begin."""
        return not self._stop.is_set()

    @property
    def live(self) -> int:
        """Requests in flight."""
        return sum(len(c.live) for c in self.clients)

    def delivered(self) -> dict[str, Any]:
        """Planned beside delivered arrivals; empty for a closed loop, little while the run goes on."""
        if not isinstance(self.loop, OpenLoop):
            return {}
        if self.sending or self.live:
            return {"delayed": self.loop.delayed}
        when_ns = self.plan.while_prompts_last(self._prompts).when_ns
        planned_ns = when_ns[: np.searchsorted(when_ns, self._stopped_ns)]
        return self.arrivals.summary(planned_ns, self.plan.targets, delayed=self.loop.delayed)

    @property
    def instants(self) -> str:
        """Who has said when reads arrived: see `Instrument`."""
        return "kernel" if self._queue.reader.timing.kernel else "loop"

    def begun(self, target: int) -> int:
        """Sessions of the window that a target has begun."""
        return self.stage.begun[target]

    @property
    def ran_out(self) -> tuple[str, ...]:
        """Targets that had used up their requests or prompts before the window's end."""
        return tuple(sorted(self.stage.ran_out))

    # the run

    async def run(self) -> None:
        """Carry out the plan; returns when every sample has been recorded."""
        plan = self.plan
        self.health.start()
        # room to make the tasks before the first of them is due
        self.stage.epoch_ns = self.recorder.epoch_ns = now_ns() + 2 * NS_PER_MS + plan.places * 30_000
        self.health.sample_from(self.epoch_ns)
        work = asyncio.ensure_future(self.loop.run())
        ticker = asyncio.ensure_future(self._ticks())
        try:
            await self._until_end(work)
            await self._decoded()
        finally:
            work.cancel()
            ticker.cancel()
            self.stage.starts.close()
            self.stage.thoughts.close()
            self._queue.close()
            self.health.each_second(self._connections(), steady=False)  # the last one, or the only one
            self.health.stop()
            for client in self.clients:
                client.close()

    def interrupt(self) -> None:
        """The user wants to stop: first send no more and drain, the second time cut off."""
        if self.interrupted:
            self.cut(_CUT_USER)
        self.interrupted = True
        self._send_no_more()
        self.stop("user")

    def _send_no_more(self) -> None:
        """Let no further turn leave: conversations end where they are."""
        self.stage.over = True
        self.stage.thoughts.release()

    def _broke(self) -> None:
        """The budget does not reach for a further request: what is in flight may end."""
        self._send_no_more()
        self.stop("budget")
        if isinstance(self.loop, OpenLoop):
            self.loop.cut()

    def stop(self, why: str) -> None:
        """Begin no further session; a window that is still open ends now unless the plan's end has come."""
        if self._stop.is_set():
            return
        self.stopped_by = why
        self._stopped_ns = self.elapsed_ns
        if why in ("user", "until", "errors", "budget"):
            self.recorder.close(self._stopped_ns)
            self.stage.windows_ns = [(start, end) for _, start, end in self.windows()]
        self.stage.stopped = True
        self._stop.set()
        self.stage.starts.release()
        self.loop.stop()

    def cut(self, why: str) -> None:
        """End everything that still runs."""
        self._cut = why
        self._cut_now.set()
        self.stop("user")

    async def _until_end(self, work: "asyncio.Future[None]") -> None:
        end = self.end_ns
        timeout = None if end is None else (end + self.epoch_ns - now_ns()) / NS_PER_S
        if timeout is not None and self.plan.open_loop:
            timeout += TICK_S  # the loop's timers fire early at times, and the last arrivals are to leave
        await _first(work, self._stop.wait(), timeout)
        self.stop(self._reason(work.done()))
        if not work.done():
            bounded = self.interrupted or self.end_ns is not None
            await _first(work, self._cut_now.wait(), self.plan.grace_ns / NS_PER_S if bounded else None)
        while not work.done():
            self._send_no_more()
            if isinstance(self.loop, OpenLoop):
                self.loop.cut()
            for client in self.clients:
                client.cut(self._cut or _CUT_GRACE)
            await _first(work, self._cut_now.wait(), 0.05)
        if isinstance(self.loop, OpenLoop):
            self.loop.cut()  # an interruption leaves those in line where they are: count them too
        work.result()  # a bug in a session is raised here

    def _reason(self, done: bool) -> str:
        if not done:
            return "duration"
        most = self.plan.requests
        counted = most is not None and min(self.stage.begun) >= most * len(self.plan.levels)
        return "requests" if counted else "prompts" if self.stage.ran_out else "duration"

    async def _decoded(self) -> None:
        while len(self._queue):  # noqa: ASYNC110  # its slices run between these turns of the loop
            await asyncio.sleep(0)

    def _arrived(self, sample: Sample, timeline: Timeline) -> None:
        """Record a sample of the open loop: its first turn is an arrival."""
        if not sample.turn:
            left_ns = sample.connect_start_ns if sample.connect_start_ns is not None else sample.sent_ns
            if left_ns is not None:
                self.arrivals.note(sample.intended_ns, left_ns, sample.target)
        self._record(sample, timeline)

    def _drop(self, target: int, when_ns: int) -> None:
        """Count an arrival that the cap has dropped; the report of a target counts those of its windows."""
        self.arrivals.dropped += 1
        where = self.plan.phase(when_ns)
        if where is not None and where[1] == "measure":
            self.recorder.drop(self.clients[target].target.name, self.plan.levels[where[0]].label)

    def _next_send(self) -> int:
        return min(self.stage.starts.next_ns, self.stage.thoughts.next_ns)

    async def _ticks(self) -> None:
        ticks = 0
        settled = self.plan.ramp_ns + NS_PER_S
        while True:
            await asyncio.sleep(TICK_S)
            ticks += 1
            for client in self.clients:
                await self._pause()
                for _ in client.sweep():
                    await self._pause()
            await self._pause()
            self._each_tick(self, ticks)
            if ticks % TICKS_A_SECOND == 0:
                await self._pause()
                self.health.each_second(self._connections(), steady=self.elapsed_ns > settled)
                self._maybe_stop()

    async def _pause(self) -> None:
        """Let the sockets be read, and planned requests leave that what comes next could be in the way of."""
        for _ in range(_PAUSES):
            await asyncio.sleep(0)
            if self._next_send() > now_ns() + _TICK_NS:
                break

    def _maybe_stop(self) -> None:
        recorders = list(self.recorder.targets.values())
        if self._errors is not None and self._errors.exceeded(self.elapsed_ns, recorders):
            self.stop("errors")
        elif self._enough is not None and self._enough.known(self.level_recorders()):
            self.stop("until")

    def _connections(self) -> int:
        return sum(c.connections for c in self.clients)


async def _first(
    work: "asyncio.Future[None]", signal: Coroutine[Any, Any, Any], timeout_s: float | None
) -> None:
    """Wait for the work's end, a signal or a time-out, whichever comes first."""
    waiting = asyncio.ensure_future(signal)
    try:
        await asyncio.wait((work, waiting), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
