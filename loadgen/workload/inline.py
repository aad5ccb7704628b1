"""Prompts that stand in the scenario, in turn."""

import hashlib

import msgspec

from loadgen.scenario.words import Workload
from loadgen.workload.draw import by_session, draw
from loadgen.workload.lines import row_of
from loadgen.workload.made import TURNS
from loadgen.workload.prompt import Conversation, Int64s, Turn


class InlinePrompts:
    """`prompts` of the scenario: session k begins with the k-th in turn, its later turns go on from there."""

    def __init__(self, workload: Workload, seed: int) -> None:
        self._prompts = workload.prompts
        self._task = workload.task
        self.count: int | None = len(self._prompts) if workload.on_end == "stop" else None
        self.contents_digest = hashlib.sha256(msgspec.json.encode(self._prompts)).hexdigest()
        self.arrivals_ns: Int64s | None = None
        self.set_aside: dict[str, int] = {}
        turns = workload.turns
        self._turns = turns and by_session(lambda rng, n: draw(turns, rng, n), seed, TURNS)

    def conversation(self, session: int) -> Conversation:
        """Return a session.

        Raises:
            IndexError: it is past the last prompt, and the workload stops there.
        """
        first = row_of(session, len(self._prompts), self.count)
        n = self._turns(session) if self._turns else 1
        said = [self._prompts[(first + i) % len(self._prompts)] for i in range(n)]
        return Conversation(self._task, tuple(Turn([{"role": "user", "content": text}]) for text in said))
