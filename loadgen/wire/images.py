"""Images (`/images/generations`): made from a prompt, and sent when they are done."""

from typing import Final

from loadgen.scenario.model import Target
from loadgen.wire.kind import Endpoint, Event, Piece, error_of, read_usage, written
from loadgen.workload.prompt import Prompt, joined


def _body(target: Target, prompt: Prompt) -> bytes:
    said = {"model": target.model, "prompt": joined(prompt.messages)}
    return written(said | (prompt.image or {}), target, prompt)


def _read(body: Event) -> Piece:
    return Piece(usage=read_usage(body.get("usage"), "input", "output"), error=error_of(body))


IMAGES: Final = Endpoint(
    path="/images/generations",
    body=_body,
    read=_read,
    streams=False,
    makes="images",
    entry=("b64_json", "url"),
)
