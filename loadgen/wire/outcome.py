"""How a request ended: its outcome, and the words for it."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import orjson

from loadgen.scenario.model import Timeouts
from loadgen.units import format_duration
from loadgen.wire.kind import error_text
from loadgen.wire.sse import SseDecoder
from loadgen.wire.stopwatch import Exchange

OUTCOMES: Final = (
    "ok",
    "http_error",
    "rate_limited",
    "timeout",
    "connect_error",
    "disconnected",
    "truncated",
    "bad_stream",
    "error_in_stream",
    "empty",
    "cancelled",
    "client_error",
)
"""Every outcome there is; docs/metrics.md says when it is which."""

MAX_ERROR_CHARS: Final = 300


def outcome_of(
    exchange: Exchange, sse: SseDecoder, body: bytes | None, timeouts: Timeouts, asked: int = 1
) -> tuple[str, str | None]:
    """Judge a request that has ended: one of `OUTCOMES`, and the error's text for all but `ok`.

    body: of an answer that is of another kind than was asked for, or a refusal; else None.
    asked: how many images or vectors it must bring at least, where it is made of them.
    """
    if exchange.failure is not None and not (exchange.failure[0] == "disconnected" and sse.error):
        return exchange.failure
    status = exchange.status or 0
    if not 200 <= status < 300:
        return _refusal(status, body or b"")
    if sse.error is not None:
        return sse.error
    if body is not None:
        return _not_a_stream(body)
    if late := _late(exchange, sse, timeouts):
        return "timeout", late
    if sse.made is not None:
        return _made(sse.made, asked, sse.endpoint.makes)
    if not len(sse.outputs.event_chars):
        return "empty", "the answer carried no output"
    if sse.finish_reason is None:
        return "truncated", "the answer ended without a finish_reason"
    return "ok", None


def time_out(
    sent_ns: int, last_output_ns: int | None, now_ns: int, limits: Timeouts
) -> tuple[int, str | None]:
    """Return the instant at which a live request is too late, and once that is past (`now_ns`) the words.

    last_output_ns: instant of its latest output-bearing event, None before the first.
    """
    total_ns = sent_ns + limits.total_ns
    due_ns = sent_ns + limits.first_token_ns
    if last_output_ns is not None:
        due_ns = last_output_ns + limits.between_tokens_ns
    if total_ns <= now_ns:
        return total_ns, _not_done(limits)
    if due_ns <= now_ns:
        return due_ns, _no_first(limits) if last_output_ns is None else _no_next(limits)
    return min(due_ns, total_ns), None


def _late(exchange: Exchange, sse: SseDecoder, limits: Timeouts) -> str | None:
    """Judge the time-outs by the stamps, so that the outcome does not hang on when the sweep came by.

    The words hold no time of the request's own: the errors of a run are counted by their text.
    """
    sent, done, events = exchange.sent_ns or 0, exchange.done_ns or 0, sse.outputs.event_ns
    if done - sent >= limits.total_ns:
        return f"done later than total = {format_duration(limits.total_ns)}"
    # the end counts like an event: nobody knew that no token would come any more
    if not len(events):
        return _no_first(limits) if done - sent >= limits.first_token_ns else None
    if int(events[0]) - sent >= limits.first_token_ns:
        return f"first token later than first_token = {format_duration(limits.first_token_ns)}"
    # only an answer that took longer than that can hold such a gap
    if done - sent < limits.between_tokens_ns:
        return None
    gaps = np.diff(events, append=done)
    if int(gaps[:-1].max(initial=0)) >= limits.between_tokens_ns:
        return f"next token later than between_tokens = {format_duration(limits.between_tokens_ns)}"
    return _no_next(limits) if int(gaps[-1]) >= limits.between_tokens_ns else None


def _not_done(limits: Timeouts) -> str:
    return f"not done within total = {format_duration(limits.total_ns)}"


def _no_first(limits: Timeouts) -> str:
    return f"no token within first_token = {format_duration(limits.first_token_ns)}"


def _no_next(limits: Timeouts) -> str:
    return f"no token within between_tokens = {format_duration(limits.between_tokens_ns)}"


def _made(made: int, asked: int, what: str) -> tuple[str, str | None]:
    """Judge an answer made of images or vectors."""
    if not made:
        return "empty", f"the answer carried no {what}"
    return ("ok", None) if made >= asked else ("truncated", f"the answer carried {made} of {asked} {what}")


def _refusal(status: int, body: bytes) -> tuple[str, str]:
    """Name a status that is no success, with the server's own words."""
    try:
        words = error_text(orjson.loads(body)) if body.strip() else ""
    except orjson.JSONDecodeError:
        words = " ".join(body.decode("utf-8", "replace").split())
    if 300 <= status < 400:
        words = words or "redirects are not followed; give the final base_url"
    text = f"HTTP {status}: {words}" if words else f"HTTP {status}"
    return ("rate_limited" if status == 429 else "http_error"), text


def _not_a_stream(body: bytes) -> tuple[str, str]:
    """Name an answer with status 200 that is JSON or HTML where a stream was asked for."""
    if body.lstrip().startswith(b"<"):
        return "bad_stream", f"HTML where an event stream is needed: {body.decode('utf-8', 'replace')}"
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "bad_stream", "a body that says it is JSON but is not, where an event stream is needed"
    if isinstance(answer, dict) and answer.get("error"):
        return "error_in_stream", error_text(answer)
    return "bad_stream", "a JSON body where an event stream is needed (the request must say stream = true)"


def shorten(text: str) -> str:
    """Put a server's words on one line of a length that fits into a table."""
    flat = " ".join(text.split())
    return flat if len(flat) <= MAX_ERROR_CHARS else flat[: MAX_ERROR_CHARS - 1] + "…"


def retry_words(headers: Mapping[bytes, bytes]) -> str:
    """Say what a 429 says of when to come back: seconds, or a date (RFC 9110, section 10.2.3)."""
    # a gateway's own word first; LiteLLM hands its provider's on under another name
    value = headers.get(b"retry-after") or headers.get(b"llm_provider-retry-after", b"")
    when = value[:40].decode("latin-1").strip()
    return f" (retry after {when}{' s' if when.isdigit() else ''})" if when else ""
