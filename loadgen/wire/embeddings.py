"""Embeddings (`/embeddings`): a vector for each text."""

from typing import Final

from loadgen.scenario.model import Target
from loadgen.wire.kind import Endpoint, Event, Piece, error_of, name_of, read_usage, written
from loadgen.workload.prompt import Prompt, joined


def _body(target: Target, prompt: Prompt) -> bytes:
    texts = prompt.inputs or joined(prompt.messages)
    return written({"model": target.model, "input": texts}, target, prompt)


def _read(body: Event) -> Piece:
    usage = read_usage(body.get("usage"))
    if usage is not None and usage.output_tokens is not None:  # some servers say 0, of what there is not
        usage = type(usage)(usage.prompt_tokens, cached_tokens=usage.cached_tokens)
    return Piece(usage=usage, error=error_of(body), response_id=name_of(body.get("id")))


EMBEDDINGS: Final = Endpoint(
    path="/embeddings", body=_body, read=_read, streams=False, makes="vectors", entry=("embedding",)
)
