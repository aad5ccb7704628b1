"""A serving engine as a step machine: continuous batching, told step by step, without a clock.

One step is one forward pass of the model over the batch (iteration-level scheduling: Orca, 2022; the
loop of vLLM). Requests wait in order of arrival and are admitted while the batch has places. In a step
every sequence whose prompt is processed gets one token; sequences still in prefill share a budget of
`prefill_chunk_tokens`, first come first served, and the step that ends a prompt samples its first token.

    duration = prompt tokens / prefill_tokens_per_s
             + decode_step_base + decode_step_per_sequence * sequences that get a token

Of a prompt that begins like an earlier one the prefix cache holds the beginning: when the request is
admitted, those tokens are taken off its prefill. A prompt is in the cache once its prefill has ended.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.engine.cache import BLOCK_TOKENS, PrefixCache
from loadgen.engine.params import EngineParams
from loadgen.units import NS_PER_S


@dataclass(frozen=True, slots=True)
class Step:
    """One iteration: how long it lasts, and who gets a token at its end, in order of admission.

    finished: those of `tokens` for whom it is the last one. cached: of those admitted with this step, who
    found how many prompt tokens in the prefix cache; those that found none are left out.
    """

    duration_ns: int
    tokens: tuple[int, ...]
    finished: tuple[int, ...]
    cached: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class _Sequence:
    prefill_left: int
    output_left: int
    blocks: Sequence[int]


class Engine:
    """A queue and a batch. The same seed and the same order of calls give the same steps."""

    def __init__(self, params: EngineParams, seed: int) -> None:
        self.params = params
        # Two generators: when overheads are drawn between steps is the caller's timing, and must
        # not change what the steps draw.
        self._overhead_random = random.Random(f"{seed}/overhead")  # noqa: S311 - a model, not a secret
        self._step_random = random.Random(f"{seed}/step")  # noqa: S311 - a model, not a secret
        self._cache = PrefixCache(params.prefix_cache_tokens)
        self._waiting: dict[int, _Sequence] = {}
        self._running: dict[int, _Sequence] = {}

    @property
    def waiting(self) -> int:
        """How many requests are in the queue."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many requests hold a place in the batch."""
        return len(self._running)

    def draw_overhead_ns(self) -> int:
        """Draw how long a request that arrives now is on its way; the caller submits it after that."""
        return self._spread(self.params.overhead_ns, self._overhead_random)

    def submit(
        self, request_id: int, prompt_tokens: int, output_tokens: int, blocks: Sequence[int] = ()
    ) -> None:
        """Put a request at the end of the queue; it will get exactly `output_tokens` tokens.

        blocks: the full blocks of its prompt, as `PrefixCache` takes them.

        Raises:
            ValueError: the id is in use, a count is below 1, or the context window is too small.
        """
        if request_id in self._waiting or request_id in self._running:
            raise ValueError(f"request {request_id} is already here")
        if prompt_tokens < 1 or output_tokens < 1:
            raise ValueError("a request has at least one prompt token and one output token")
        if prompt_tokens + output_tokens > self.params.max_context_tokens:
            raise ValueError(
                f"{prompt_tokens} + {output_tokens} tokens are more than the context window of"
                f" {self.params.max_context_tokens}"
            )
        self._waiting[request_id] = _Sequence(prompt_tokens, output_tokens, blocks)

    def cancel(self, request_id: int) -> bool:
        """Drop a request; its place is free for the next step. False when it is not here (any more)."""
        found = self._waiting.pop(request_id, None) or self._running.pop(request_id, None)
        return found is not None

    def step(self) -> Step | None:
        """Begin the next iteration and tell how it ends; None when there is nothing to do.

        Requests submitted while it lasts join the step after it. One cancelled while it lasts was
        part of it: its token of this step is to be thrown away by the caller.
        """
        cached = self._admit()
        if not self._running:
            return None
        budget = self.params.prefill_chunk_tokens
        tokens: list[int] = []
        finished: list[int] = []
        for request_id, sequence in self._running.items():
            if sequence.prefill_left:
                chunk = min(sequence.prefill_left, budget)
                budget -= chunk
                sequence.prefill_left -= chunk
                if sequence.prefill_left:
                    continue
                self._cache.add(sequence.blocks)
            tokens.append(request_id)
            sequence.output_left -= 1
            if not sequence.output_left:
                finished.append(request_id)
        for request_id in finished:
            del self._running[request_id]
        duration_ns = self._duration_ns(self.params.prefill_chunk_tokens - budget, len(tokens))
        return Step(duration_ns, tuple(tokens), tuple(finished), cached)

    def _admit(self) -> tuple[tuple[int, int], ...]:
        """Fill the batch from the queue; return who found how many prompt tokens in the cache."""
        found: list[tuple[int, int]] = []
        while self._waiting and len(self._running) < self.params.max_batch:
            request_id = next(iter(self._waiting))
            sequence = self._running[request_id] = self._waiting.pop(request_id)
            # the last token of a prompt is always computed: what follows it is sampled from that
            most = (sequence.prefill_left - 1) // BLOCK_TOKENS
            if cached := BLOCK_TOKENS * self._cache.take(sequence.blocks[:most]):
                sequence.prefill_left -= cached
                found.append((request_id, cached))
        return tuple(found)

    def _duration_ns(self, prefill_tokens: int, sequences: int) -> int:
        prefill_ns = round(prefill_tokens * NS_PER_S / self.params.prefill_tokens_per_s)
        decode_ns = self.params.decode_step_base_ns + self.params.decode_step_per_sequence_ns * sequences
        return self._spread(prefill_ns + decode_ns, self._step_random)

    def _spread(self, duration_ns: int, generator: random.Random) -> int:
        sigma = self.params.spread
        if not sigma:
            return duration_ns
        # exp(mu + sigma z) has mean exp(mu + sigma²/2): this mu makes it 1
        return round(duration_ns * math.exp(generator.gauss(-sigma * sigma / 2, sigma)))
