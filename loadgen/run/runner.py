"""One event loop that carries out a plan: places, phases, the window's end, grace, interruption."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from loadgen.measure.health import Health
from loadgen.measure.recorder import Recorder
from loadgen.measure.sample import Origin, Sample
from loadgen.plan.plan import Plan
from loadgen.run.pacer import Pacer
from loadgen.run.session import run_session
from loadgen.units import NS_PER_MS, NS_PER_S
from loadgen.wire.client import Client
from loadgen.wire.decode import DecodeQueue
from loadgen.wire.stopwatch import now_ns
from loadgen.wire.timeline import Timeline
from loadgen.workload.prompt import Prompt, Prompts

TICK_S: Final = 0.1
PAUSE_NS: Final = 100 * NS_PER_MS
TICKS_A_SECOND: Final = 10
_CUT_GRACE: Final = "cut off: still running at the end of the grace time"
_CUT_USER: Final = "cut off by the user"


class Runner:
    """Carries out one plan against its clients.

    record: called with every sample (and its timeline) once decoded. each_tick: called about every 100 ms
    with the number of the tick. `interrupt()` once stops sending and drains, twice cuts off.
    """

    def __init__(
        self,
        plan: Plan,
        clients: Sequence[Client],
        *,
        prompts: Prompts,
        queue: DecodeQueue,
        recorder: Recorder,
        record: Callable[[Sample, Timeline], None],
        each_tick: Callable[["Runner", int], None],
    ) -> None:
        self.plan = plan
        self.clients = clients
        self.recorder = recorder
        self.interrupted = False
        self.epoch_ns = 0
        self.window_ns = (plan.warmup_ns, None if plan.window_ns is None else plan.warmup_ns + plan.window_ns)
        self._prompts = prompts
        self._queue = queue
        self._record = record
        self._each_tick = each_tick
        loop = asyncio.get_running_loop()
        self.health = Health(loop)
        self._pacer = Pacer(loop)
        self._stop = asyncio.Event()
        self._cut: str | None = None
        self._cut_now = asyncio.Event()
        self._seq = 0
        self._begun = [0] * len(clients)
        self._next = [plan.first_session] * len(clients)
        self._ran_out: set[str] = set()

    # what the view asks

    @property
    def elapsed_ns(self) -> int:
        """Time since the epoch."""
        return max(0, now_ns() - self.epoch_ns)

    @property
    def sending(self) -> bool:
        """Whether new sessions still begin."""
        return not self._stop.is_set()

    @property
    def live(self) -> int:
        """Requests in flight."""
        return sum(len(c.live) for c in self.clients)

    def begun(self, target: int) -> int:
        """Sessions of the window that a target has begun."""
        return self._begun[target]

    @property
    def ran_out(self) -> tuple[str, ...]:
        """Targets that had used up their requests or prompts before the window's end."""
        return tuple(sorted(self._ran_out))

    # the run

    async def run(self) -> None:
        """Carry out the plan; returns when every sample has been recorded."""
        plan = self.plan
        self.health.start()
        # room to make the tasks before the first of them is due
        self.epoch_ns = self.recorder.epoch_ns = now_ns() + 2 * NS_PER_MS + plan.places * 30_000
        self.health.sample_from(self.epoch_ns)
        starts = zip(plan.when_ns.tolist(), plan.target.tolist(), strict=True)
        places = asyncio.gather(*(self._place(*start) for start in starts))
        ticker = asyncio.ensure_future(self._ticks())
        try:
            await self._until_end(places)
            await self._decoded()
        finally:
            places.cancel()
            ticker.cancel()
            self._pacer.close()
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
        self.stop()

    def stop(self) -> None:
        """Begin no further session; the window ends now if it is still open."""
        if not self._stop.is_set():
            now = self.elapsed_ns
            end = self.window_ns[1]
            if self.interrupted and (end is None or now < end):
                self.window_ns = (self.window_ns[0], max(now, self.window_ns[0]))
            self._stop.set()
            self._pacer.release()

    def cut(self, why: str) -> None:
        """End everything that still runs."""
        self._cut = why
        self._cut_now.set()
        self.stop()

    async def _until_end(self, places: "asyncio.Future[list[None]]") -> None:
        end = self.window_ns[1]
        timeout = None if end is None else (end + self.epoch_ns - now_ns()) / NS_PER_S
        await _first(places, self._stop.wait(), timeout)
        self.stop()
        if not places.done():
            bounded = self.interrupted or self.plan.window_ns is not None
            await _first(places, self._cut_now.wait(), self.plan.grace_ns / NS_PER_S if bounded else None)
        while not places.done():
            for client in self.clients:
                client.cut(self._cut or _CUT_GRACE)
            await _first(places, self._cut_now.wait(), 0.05)
        places.result()  # a bug in a place is raised here

    async def _decoded(self) -> None:
        while len(self._queue):  # noqa: ASYNC110  # its slices run between these turns of the loop
            await asyncio.sleep(0)

    async def _place(self, when_ns: int, target: int) -> None:
        """One place of a target: one session after the other, each intended when the place became free."""
        await self._pacer.until(self.epoch_ns + when_ns)
        intended_ns = when_ns
        client = self.clients[target]
        while (phase := self._phase(target, intended_ns)) is not None:
            session = self._next[target]
            self._next[target] += self.plan.stride
            said = self._prompts.conversation(session, target)
            turn = said.turns[0]
            prompt = Prompt(turn.messages, said.task, turn.asked_prompt_tokens, turn.asked_output_tokens)
            self._seq += 1
            origin = Origin(
                self._seq,
                client.target.name,
                prompt.task,
                session,
                0,
                phase,
                0,
                intended_ns,
                prompt.asked_prompt_tokens,
                prompt.asked_output_tokens,
            )
            intended_ns = await run_session(
                client, prompt, origin, epoch_ns=self.epoch_ns, window_ns=self._window, record=self._record
            )
            if client.unreachable:
                # a dead server is not to be called by each of hundreds of places thousands of times a second
                intended_ns += PAUSE_NS
                await self._pacer.until(self.epoch_ns + intended_ns)
        end = self.window_ns[1]
        if not self._stop.is_set() and (end is None or intended_ns < end):
            self._ran_out.add(client.target.name)
            if len(self._ran_out) == len(self.clients):
                self._pacer.release()  # places still to begin would find nothing to send

    def _window(self) -> tuple[int, int | None]:
        return self.window_ns

    def _phase(self, target: int, intended_ns: int) -> str | None:
        """Return the phase of a session that would begin now; None when none begins any more."""
        count = self._prompts.count
        if self._stop.is_set() or (count is not None and self._next[target] >= count):
            return None
        start, end = self.window_ns
        if intended_ns < start:
            return "warmup"
        if end is not None and intended_ns >= end:
            return None
        if self.plan.requests is not None and self._begun[target] >= self.plan.requests:
            return None
        self._begun[target] += 1
        return "measure"

    async def _ticks(self) -> None:
        ticks = 0
        settled = self.plan.ramp_ns + NS_PER_S
        while True:
            await asyncio.sleep(TICK_S)
            ticks += 1
            for client in self.clients:
                client.sweep()
            self._each_tick(self, ticks)
            if ticks % TICKS_A_SECOND == 0:
                self.health.each_second(self._connections(), steady=self.elapsed_ns > settled)

    def _connections(self) -> int:
        return sum(c.connections for c in self.clients)


async def _first(
    places: "asyncio.Future[list[None]]", signal: Coroutine[Any, Any, Any], timeout_s: float | None
) -> None:
    """Wait for the places' end, a signal or a time-out, whichever comes first."""
    waiting = asyncio.ensure_future(signal)
    try:
        await asyncio.wait((places, waiting), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
