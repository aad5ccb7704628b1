"""Open loop: sessions begin when the plan says so, whatever has become of those before them."""

import asyncio
from collections import deque
from functools import partial
from typing import Final

from loadgen.run.session import Gate, Session
from loadgen.run.stage import Stage
from loadgen.wire.stopwatch import now_ns

_BLOCK: Final = 10_000


class OpenLoop:
    """The arrivals of a plan, the same for every target; targets take turns in going first.

    most: requests that a target may have under way (None: no cap). What arrives above it waits in line with
    its intended time, or is dropped; both are counted. delayed: how many had to wait.
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
            while line:
                self._stage.drop(target, line.popleft()[1])
            for turn in self._later[target]:
                if not turn.done():
                    turn.set_result(None)

    async def _walk(self) -> None:
        stage, plan = self._stage, self._stage.plan
        number = plan.first_session
        for first in range(0, len(plan.when_ns), _BLOCK):
            numbers = None if plan.session is None else plan.session[first : first + _BLOCK].tolist()
            for i, when_ns in enumerate(plan.when_ns[first : first + _BLOCK].tolist()):
                due_ns = stage.epoch_ns + when_ns
                if due_ns > now_ns():
                    await stage.starts.until(due_ns)
                else:
                    await asyncio.sleep(0)  # late or many at once: the sockets are looked at in between
                if stage.stopped:
                    return
                for turn in range(plan.targets):
                    self._arrive(
                        (turn + first + i) % plan.targets, numbers[i] if numbers else number, when_ns
                    )
                number += plan.stride
                if len(stage.ran_out) == plan.targets:
                    return

    def _arrive(self, target: int, number: int, when_ns: int) -> None:
        begun = self._stage.planned_session(target, number, when_ns)
        if begun is None:
            return
        session = Session(self._stage, self._stage.clients[target], *begun)
        if self._most is None or self._under_way[target] < self._most:
            self._start(target, session, when_ns)
        elif self._drops:
            self._stage.drop(target, when_ns)
        else:
            self.delayed += 1
            self._line[target].append((session, when_ns))

    def _start(self, target: int, session: Session, when_ns: int) -> None:
        self._under_way[target] += 1
        self._group.create_task(session.run(when_ns, self._gates[target]))

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
            self._start(target, *self._line[target].popleft())

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
