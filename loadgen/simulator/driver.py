"""Makes one engine run in real time: waits for the end of each step, then hands out its tokens."""

import asyncio
from itertools import count
from time import monotonic_ns

from loadgen.engine.machine import Engine, Step
from loadgen.simulator.answer import StreamedAnswer, WholeAnswer
from loadgen.units import NS_PER_S

Receiver = StreamedAnswer | WholeAnswer


class EngineDriver:
    """One engine and its clock. `run` is its task; the due times of the steps add up, so it never drifts.

    A timer may fire up to a millisecond off; the next step is due on time all the same.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._receivers: dict[int, Receiver] = {}
        self._ids = count()
        self._work = asyncio.Event()  # set while there is some
        self._due_ns = 0

    def submit(self, receiver: Receiver, prompt_tokens: int, output_tokens: int, at_ns: int) -> int:
        """Queue a sequence that reached the queue at `at_ns` (monotonic); return its number."""
        request_id = next(self._ids)
        self.engine.submit(request_id, prompt_tokens, output_tokens, receiver.answer.blocks)
        self._receivers[request_id] = receiver
        if not self._work.is_set():
            self._due_ns = max(self._due_ns, at_ns)
            self._work.set()
        return request_id

    def cancel(self, request_id: int) -> None:
        """Forget a request; one that has ended is fine too."""
        self.engine.cancel(request_id)
        self._receivers.pop(request_id, None)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._work.wait()
            while step := self.engine.step():
                self._due_ns += step.duration_ns
                await asyncio.sleep((self._due_ns - monotonic_ns()) / NS_PER_S)
                self._hand_out(step)
            self._work.clear()

    def _hand_out(self, step: Step) -> None:
        for request_id, cached_tokens in step.cached:
            if request_id in self._receivers:
                self._receivers[request_id].answer.cached_tokens = cached_tokens
        last = set(step.finished)
        for request_id in step.tokens:
            receiver = self._receivers.get(request_id)
            if receiver is not None:  # else cancelled while the step ran
                receiver.deliver(finished=request_id in last)
