"""Open loop: sessions begin when the plan says so, whatever has become of those before them."""

import asyncio
from collections import deque
from functools import partial
from typing import Final

from loadgen.run.session import Gate, Session
from loadgen.run.stage import Stage
from loadgen.units import NS_PER_MS
from loadgen.wire.stopwatch import now_ns

_BLOCK: Final = 10_000
_AHEAD_NS: Final = 20 * NS_PER_MS
_AT_LEAST_NS: Final = 3 * NS_PER_MS
_MAKING_NS: Final = 200_000


class OpenLoop:
    """The arrivals of a plan, the same for every target; targets take turns in going first.

    most: requests that a target may have under way (None: no cap). What arrives above it waits in line with
    its intended time, or is dropped; both are counted. delayed: how many had to wait; those that waited in
    vain have been dropped.
    """

    def __init__(self, stage: Stage, *, most: int | None, drops: bool) -> None:
        self._stage = stage
        self._most = most
        self._drops = drops
        self.delayed = 0
        targets = range(stage.plan.targets)
        self._gates = [Gate(partial(self._resume, t), partial(self._left, t)) for t in targets]
        self._under_way = [0 for _ in targets]
        self._later: list[deque[asyncio.Future[None]]] = [deque() for _ in targets]
        self._line: list[deque[tuple[Session, int]]] = [deque() for _ in targets]
        self._group = asyncio.TaskGroup()

    async def run(self) -> None:
        """Begin every arrival, wait for all that has begun; a bug in a session is raised here."""
        async with self._group:
            await self._walk()

    def stop(self) -> None:
        """Nothing to do: what has arrived goes on."""

    def cut(self) -> None:
        """Give up what still waits in line: it was never sent."""
        for target, line in enumerate(self._line):
            self.delayed -= len(line)
            while line:
                self._stage.drop(target, line.popleft()[1])
            for turn in self._later[target]:
                if not turn.done():
                    turn.set_result(None)

    async def _walk(self) -> None:
        stage, plan = self._stage, self._stage.plan
        number, ready_ns = plan.first_session, 0
        for first in range(0, len(plan.when_ns), _BLOCK):
            numbers = None if plan.session is None else plan.session[first : first + _BLOCK].tolist()
            for i, when_ns in enumerate(plan.when_ns[first : first + _BLOCK].tolist()):
                due_ns = stage.epoch_ns + when_ns
                if due_ns > ready_ns:
                    # one wake-up for all that is due soon: a timer costs a trip to the kernel
                    await stage.starts.until(due_ns - _AHEAD_NS)
                    ready_ns = now_ns() + 2 * _AHEAD_NS
                else:
                    await asyncio.sleep(0)  # the sockets are looked at in between
                await self._let_go_first(due_ns - _AT_LEAST_NS)
                if stage.stopped or len(stage.ran_out) == plan.targets:
                    return
                session = numbers[i] if numbers else number
                for turn in range(plan.targets):
                    self._group.create_task(self._arrive((turn + first + i) % plan.targets, session, when_ns))
                number += plan.stride

    async def _let_go_first(self, until_ns: int) -> None:
        """Let those leave that are due: none is to wait for the making of another, while there is time."""
        starts = self._stage.starts
        while (now := now_ns()) < until_ns and starts.next_ns < now + _MAKING_NS:  # noqa: ASYNC110
            await asyncio.sleep(0)

    async def _arrive(self, target: int, number: int, when_ns: int) -> None:
        """Make a session's request, wait for its time, send it: nothing is left to make when it is due."""
        stage = self._stage
        said = stage.words(target, number)
        if said is None:
            return
        session = Session(stage, stage.clients[target], number, said)
        prepared = session.prepared()
        await stage.starts.until(stage.epoch_ns + when_ns)
        if not stage.arrived(target, when_ns):
            return
        if self._most is None or self._under_way[target] < self._most:
            self._under_way[target] += 1
            await session.run(when_ns, self._gates[target], prepared)
        elif self._drops:
            stage.drop(target, when_ns)
        else:
            self.delayed += 1
            self._line[target].append((session, when_ns))

    def _left(self, target: int, _: int) -> None:
        """A request has ended: a later turn that waits comes first, then the first in line."""
        self._under_way[target] -= 1
        while self._later[target]:
            turn = self._later[target].popleft()
            if not turn.done():
                self._under_way[target] += 1
                turn.set_result(None)
                return
        if self._line[target] and not self._stage.over:
            session, when_ns = self._line[target].popleft()
            self._under_way[target] += 1
            self._group.create_task(session.run(when_ns, self._gates[target]))

    async def _resume(self, target: int, due_ns: int) -> int | None:
        stage = self._stage
        await stage.thoughts.until(stage.epoch_ns + due_ns)
        if not stage.over:
            if self._most is None or self._under_way[target] < self._most:
                self._under_way[target] += 1
            else:
                turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._later[target].append(turn)
                await turn  # whoever left has counted it
        return None if stage.over else due_ns
