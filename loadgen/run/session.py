"""One session: what a user says and hears, turn by turn."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from loadgen.measure.sample import Origin, make_sample
from loadgen.run.history import quoted, returned
from loadgen.run.routes import Routed, Way
from loadgen.run.stage import Stage
from loadgen.wire.client import Client
from loadgen.wire.timeline import Answer, Timeline
from loadgen.workload.prompt import Conversation, Message, Prompt, Turn

MOST_TOOL_ROUNDS: Final = 8
Prepared = tuple[Prompt, Way, bytes]
Heard = tuple[Answer | None, list[Message]]


class Gate(NamedTuple):
    """What a session asks between its turns; each kind of load has its own.

    resume: waits until the next turn, due at the instant given, may leave; returns the instant intended for
    it, None when no turn begins any more. left: told the instant at which a request has ended.
    """

    resume: Callable[[int], Awaitable[int | None]]
    left: Callable[[int], None]


class Session(NamedTuple):
    """One session of a target or of the mix: its number decides what is said. Instants: from the epoch."""

    stage: Stage
    client: Client | Routed
    number: int
    said: Conversation

    def prepared(self) -> Prepared | None:
        """Make the only request of a session beforehand; None for conversations."""
        turn, *later = self.said.turns
        if later or self.said.results:
            return None
        prompt = self._prompt(turn, turn.messages, keep_answer=False)
        way = self._way(prompt)
        return prompt, way, way[0].request(prompt)

    async def run(self, intended_ns: int, gate: Gate, prepared: Prepared | None = None) -> int:
        """Say every turn; return the instant at which the last answer ended.

        The samples are recorded once the answers have been decoded. A failed turn ends the conversation.
        """
        ready = prepared or self.prepared()
        if ready is None:
            return await self._converse(intended_ns, gate)
        stage, (prompt, way, request) = self.stage, ready
        held_usd = stage.hold(way[0].target, prompt)
        if held_usd is None:
            done_ns = stage.elapsed_ns
            gate.left(done_ns)
            return done_ns
        origin, level = self._origin(prompt, 0, intended_ns)

        def deliver(timeline: Timeline) -> None:
            sample = make_sample(origin, timeline, stage.epoch_ns, stage.windows_ns[level])
            stage.ended(sample, timeline, way, prompt, held_usd)

        done_ns = await way[0].send(prompt, deliver, request) - stage.epoch_ns
        gate.left(done_ns)
        return done_ns

    async def _converse(self, intended_ns: int, gate: Gate) -> int:
        """Say the turns one after the other, each on top of what was said before."""
        turns = deque(self.said.turns)
        history: list[Message] = []
        number = rounds = 0
        while True:
            turn = turns.popleft()
            keep = bool(self.said.results) or (bool(turns) and turn.answer is None)
            prompt = self._prompt(turn, history + turn.messages, keep_answer=keep)
            done_ns, answer, calls = await self._ask(prompt, number, intended_ns, last=not turns)
            gate.left(done_ns)
            if answer is None:
                return done_ns
            history += turn.messages
            history += turn.answer if turn.answer is not None else quoted(answer)
            if calls and rounds < MOST_TOOL_ROUNDS:
                rounds += 1
                turns.appendleft(Turn(calls, asked_output_tokens=turn.asked_output_tokens))
            else:
                rounds = 0
            if not turns:
                return done_ns
            number += 1
            resumed_ns = await gate.resume(done_ns + turns[0].think_ns)
            if resumed_ns is None:
                return done_ns
            intended_ns = resumed_ns

    async def _ask(
        self, prompt: Prompt, number: int, intended_ns: int, *, last: bool
    ) -> tuple[int, Answer | None, list[Message]]:
        """Send one turn, wait for its decoding.

        Returns the instant it ended, the answer (None: it failed, or there was no money left for it), what
        the functions return that it calls.
        """
        stage, way = self.stage, self._way(prompt)
        held_usd = stage.hold(way[0].target, prompt)
        if held_usd is None:
            return stage.elapsed_ns, None, []
        origin, level = self._origin(prompt, number, intended_ns)
        decoded: asyncio.Future[Heard] = asyncio.get_running_loop().create_future()

        def deliver(timeline: Timeline) -> None:
            answer = (timeline.answer or Answer("")) if timeline.outcome == "ok" else None
            calls = returned(answer, self.said.results)
            ends = answer is None or (last and not calls)
            window_ns = stage.windows_ns[level]
            sample = make_sample(origin, timeline, stage.epoch_ns, window_ns, last_turn=ends)
            stage.ended(sample, timeline, way, prompt, held_usd)
            if not decoded.done():
                decoded.set_result((answer, calls))

        done_ns = await way[0].send(prompt, deliver) - stage.epoch_ns
        return done_ns, *await decoded

    def _way(self, prompt: Prompt) -> Way:
        client = self.client
        return (client, None) if isinstance(client, Client) else client.choose(prompt, self.said)

    def _prompt(self, turn: Turn, messages: list[Message], *, keep_answer: bool) -> Prompt:
        identity = f"{self.stage.epoch_ns:x}-{self.number:x}" if self.client.target.session else None
        return Prompt(
            messages=messages,
            task=self.said.task,
            asked_prompt_tokens=turn.asked_prompt_tokens,
            asked_output_tokens=turn.asked_output_tokens,
            exact_output=self.said.exact_output,
            tools=self.said.tools,
            body=turn.body,
            session_id=identity,
            keep_answer=keep_answer,
            fill=turn.fill,
            inputs=turn.inputs,
            image=turn.image,
        )

    def _origin(self, prompt: Prompt, turn: int, intended_ns: int) -> tuple[Origin, int]:
        """Number a request, find its phase and level (a later turn may begin after the window)."""
        stage = self.stage
        stage.seq += 1
        levels = stage.plan.levels
        level, phase = stage.plan.phase(intended_ns) or (len(levels) - 1, "drain")
        origin = Origin(
            stage.seq,
            self.client.target.name,
            prompt.task,
            self.number,
            turn,
            phase,
            0,
            intended_ns,
            prompt.asked_prompt_tokens,
            prompt.asked_output_tokens,
            levels[level].label,
        )
        return origin, level
