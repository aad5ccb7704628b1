"""Answers that are no event stream: one JSON body, or what came instead of an answer."""

from typing import Final

import numpy as np

from loadgen.wire.event import beginning, loads
from loadgen.wire.sse import MAX_BODY_BYTES, TOO_LARGE, SseDecoder
from loadgen.wire.stopwatch import Exchange

MAX_ERROR_BODY: Final = 64 << 10


def mode_of(exchange: Exchange, data: bytes, *, streams: bool) -> str:
    """Say what an answer is read as: "sse", "whole" (one JSON body) or "other".

    data: how the body begins. streams: whether an event stream was asked for.
    """
    if exchange.status is None or exchange.status >= 300:
        return "other"
    if not streams:
        return "whole"
    # no line of an event stream begins like HTML or JSON, whatever the header says
    if data[:64].lstrip()[:1] in (b"<", b"{"):
        return "other"
    is_json = exchange.headers.get(b"content-type", b"").lower().startswith(b"application/json")
    return "other" if is_json else "sse"


def keep(body: bytearray, data: bytes, mode: str) -> tuple[str, str] | None:
    """Keep what comes of a body; return outcome and error once it is too large."""
    if mode == "whole" and len(body) + len(data) > MAX_BODY_BYTES:
        body.clear()
        return TOO_LARGE
    if mode == "whole" or len(body) < MAX_ERROR_BODY:
        body += data
    return None


def read_whole(data: bytearray, into: SseDecoder) -> None:
    """Read an answer that is one JSON body; `into.finish` comes after it, as after a stream.

    It has no instants, and one entry in `event_chars`: all of its text.
    """
    try:
        body = loads(data)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        if data.lstrip().startswith(b"{") and not data.rstrip().endswith(b"}"):
            into.error = ("truncated", "the answer ends in the middle of its JSON")
        else:
            into.error = ("bad_stream", f"the answer is not a JSON object: {beginning(data)}")
        return
    endpoint = into.endpoint
    chars = 0
    for event in endpoint.whole(body):
        piece = endpoint.read(event)
        if piece.error is not None:
            into.error = ("error_in_stream", piece.error)
            return
        into.response_id = into.response_id or piece.response_id
        into.finish_reason = piece.finish or into.finish_reason
        into.usage = piece.usage or into.usage
        into.outputs.reasoning += bool(piece.reasoning)
        chars += len(piece.answer) + len(piece.reasoning)
        if into.quote is not None:
            into.quote.add(*endpoint.quote(event))
    if chars:
        into.outputs.event_chars = np.array([chars], np.int64)
    if endpoint.entry:
        entries = body.get("data")
        into.made = sum(
            isinstance(entry, dict) and any(entry.get(key) for key in endpoint.entry)
            for entry in (entries if isinstance(entries, list) else ())
        )
