"""One request as one flat row: the line of samples.jsonl."""

import msgspec

OUTCOMES = (
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


class Sample(msgspec.Struct, kw_only=True):
    """A request from its intended time to its end.

    Fields ending in `_ns` are instants: integer nanoseconds since the run's epoch on the monotonic
    clock (`longest_gap_ns` alone is a length); what does not apply is None. Definitions: docs/metrics.md.
    """

    seq: int
    target: str
    task: str
    route: str | None = None
    session: int
    turn: int
    phase: str
    worker: int
    outcome: str
    status: int | None = None
    error: str | None = None
    response_id: str | None = None
    finish_reason: str | None = None
    intended_ns: int
    connect_start_ns: int | None = None
    connected_ns: int | None = None
    sent_ns: int | None = None
    first_byte_ns: int | None = None
    first_token_ns: int | None = None
    first_answer_ns: int | None = None
    last_token_ns: int | None = None
    done_ns: int
    asked_prompt_tokens: int | None = None
    asked_output_tokens: int | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    output_tokens: int | None = None
    output_chars: int | None = None
    token_source: str | None = None
    events: int = 0
    output_events: int = 0
    longest_gap_ns: int | None = None
    first_event_tokens: float | None = None
    hidden_reasoning_tokens: int = 0
    attempts: int = 1
    cost_usd: float | None = None
