"""What an engine can do, as numbers."""

from typing import Annotated

import msgspec

PositiveInt = Annotated[int, msgspec.Meta(ge=1)]
NonNegativeInt = Annotated[int, msgspec.Meta(ge=0)]
PositiveFloat = Annotated[float, msgspec.Meta(gt=0)]


class EngineParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of one engine.

    overhead_ns: from the request's arrival to its place in the queue (front end, tokenizer, network).
    prefill_tokens_per_s: how fast prompt tokens are processed.
    prefill_chunk_tokens: prompt tokens that one step takes at most; longer prompts are cut into
    chunks, so that they do not stall the others' decode (chunked prefill: Sarathi-Serve, 2024).
    decode_step_base_ns: the part of a step that does not depend on the batch (reading the weights).
    decode_step_per_sequence_ns: what each sequence that gets a token adds to the step.
    max_batch: sequences that share a step at most; the rest wait in the queue.
    max_context_tokens: prompt and answer of a request together, at most.
    prefix_cache_tokens: prompt tokens of earlier requests that are kept; 0: no prefix cache.
    spread: sigma of a log-normal factor of mean 1 on every duration; 0 is exact.
    """

    overhead_ns: NonNegativeInt
    prefill_tokens_per_s: PositiveFloat
    prefill_chunk_tokens: PositiveInt
    decode_step_base_ns: PositiveInt
    decode_step_per_sequence_ns: NonNegativeInt
    max_batch: PositiveInt
    max_context_tokens: PositiveInt
    prefix_cache_tokens: NonNegativeInt = 0
    spread: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.0
