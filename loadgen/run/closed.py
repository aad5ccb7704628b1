"""Closed loop: places, each with one session at a time, the next intended when the place became free."""

import asyncio
from collections import deque
from functools import partial
from typing import Final

from loadgen.run.session import Gate, Session
from loadgen.run.stage import Stage
from loadgen.units import NS_PER_MS

PAUSE_NS: Final = 100 * NS_PER_MS

Lease = asyncio.Future[int]
"""A place lent to a session with a task of its own; its result is the instant at which it is free again."""


class ClosedLoop:
    """The places of a plan.

    A user (`users`) keeps the place while it thinks. Under `concurrency` a session that thinks gives it back
    and later takes the next that becomes free, before any new session.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._waiting = Gate(self._wait, lambda _: None)
        targets = range(stage.plan.targets)
        self._thinking = [0 for _ in targets]
        self._ready: list[deque[asyncio.Future[tuple[Lease, int]]]] = [deque() for _ in targets]
        self._news = [asyncio.Event() for _ in targets]

    async def run(self) -> None:
        """Carry out every place to its end; a bug in one is raised here."""
        plan = self._stage.plan
        if plan.mode == "one_at_a_time":
            await self._in_turns()
            return
        intervals: dict[tuple[int, int], list[tuple[int, int]]] = {}
        when_ns, until_ns = plan.when_ns.tolist(), plan.until_ns.tolist()
        for i, key in enumerate(zip(plan.target.tolist(), plan.place.tolist(), strict=True)):
            intervals.setdefault(key, []).append((when_ns[i], until_ns[i]))
        async with asyncio.TaskGroup() as group:
            for (target, _), times in intervals.items():
                group.create_task(self._place(group, target, times))

    def stop(self) -> None:
        """No session begins any more: places that wait for one that thinks may end."""
        for target, news in enumerate(self._news):
            news.set()
            while self._ready[target]:  # later turns go on without a place
                self._grant(target, self._stage.elapsed_ns)

    async def _in_turns(self) -> None:
        """One session at a time, the targets in turn."""
        stage = self._stage
        await stage.starts.until(stage.epoch_ns)
        free_ns = 0
        going = [int(target) for target in stage.plan.target]
        while going:
            for target in list(going):
                session = self._session(target, free_ns)
                if session is None:
                    going.remove(target)
                else:
                    free_ns = await self._hold(session, target, free_ns)

    async def _place(self, group: asyncio.TaskGroup, target: int, times: list[tuple[int, int]]) -> None:
        """Carry out a place in the intervals in which it is there."""
        free_ns = 0
        for when_ns, until_ns in times:  # a session may outlive the levels without its place
            free_ns = await self._interval(group, target, max(when_ns, free_ns), until_ns)
        if len(self._stage.ran_out) == self._stage.plan.targets:
            self._stage.starts.release()  # places still to begin would find nothing to send

    async def _interval(self, group: asyncio.TaskGroup, target: int, when_ns: int, until_ns: int) -> int:
        """Hold one session after the other; return when the last has ended."""
        stage = self._stage
        await stage.starts.until(stage.epoch_ns + when_ns)
        free_ns = when_ns
        while free_ns < until_ns:
            if self._ready[target]:
                free_ns = await self._grant(target, free_ns)
            elif session := self._session(target, free_ns):
                if any(turn.think_ns for turn in session.said.turns) and stage.plan.mode == "concurrency":
                    lease: Lease = asyncio.get_running_loop().create_future()
                    group.create_task(self._lend(session, target, free_ns, lease))
                    free_ns = await lease
                else:
                    free_ns = await self._hold(session, target, free_ns)
            elif self._thinking[target] and not stage.stopped:
                self._news[target].clear()
                await self._news[target].wait()
                free_ns = stage.elapsed_ns
            elif (later_ns := stage.level_after(free_ns)) is not None and not stage.done_with(target):
                await stage.starts.until(stage.epoch_ns + later_ns)  # this level has had all of its requests
                free_ns = later_ns
            else:
                break
        return free_ns

    def _session(self, target: int, free_ns: int) -> Session | None:
        begun = self._stage.next_session(target, free_ns)
        return begun and Session(self._stage, self._stage.clients[target], *begun)

    async def _hold(self, session: Session, target: int, free_ns: int) -> int:
        """Run a session in its place; return when the place is free again."""
        stage = self._stage
        done_ns = await session.run(free_ns, self._waiting)
        # a user thinks before the next conversation too
        pause_ns = session.said.pause_ns if stage.plan.mode == "users" else 0
        if stage.clients[target].unreachable:
            # a dead server is not to be called by each of hundreds of places thousands of times a second
            pause_ns = max(pause_ns, PAUSE_NS)
        if pause_ns:
            done_ns += pause_ns
            await stage.starts.until(stage.epoch_ns + done_ns)
        return done_ns

    async def _wait(self, due_ns: int) -> int | None:
        await self._stage.thoughts.until(self._stage.epoch_ns + due_ns)
        return None if self._stage.over else due_ns

    # sessions that think without a place

    async def _lend(self, session: Session, target: int, free_ns: int, lease: Lease) -> None:
        stage, held = self._stage, [lease]
        ended = [free_ns]

        async def resume(due_ns: int) -> int | None:
            if held:  # once the window has ended, turns go on without a place
                held.pop().set_result(ended[0])
            self._thinking[target] += 1
            try:
                await stage.thoughts.until(stage.epoch_ns + due_ns)
                if stage.over:
                    return None
                if stage.stopped:
                    return due_ns
                asked: asyncio.Future[tuple[Lease, int]] = asyncio.get_running_loop().create_future()
                self._ready[target].append(asked)
                self._news[target].set()
                lease, free_ns = await asked
                held.append(lease)
                return max(due_ns, free_ns)
            finally:
                self._thinking[target] -= 1
                self._news[target].set()

        await session.run(free_ns, Gate(resume, partial(ended.__setitem__, 0)))
        if held:
            held.pop().set_result(ended[0])

    def _grant(self, target: int, free_ns: int) -> Lease:
        """Lend a place to the session that has waited longest."""
        lease: Lease = asyncio.get_running_loop().create_future()
        self._ready[target].popleft().set_result((lease, free_ns))
        return lease
