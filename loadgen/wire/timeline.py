"""What the wire knows of one request when it has ended: instants, events, outcome."""

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
NO_EVENTS: Final[Int64s] = np.zeros(0, np.int64)


class Usage(msgspec.Struct, frozen=True):
    """Token counts as the server reported them."""

    prompt_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class Answer(msgspec.Struct, frozen=True):
    """What the model said, as a later turn quotes it.

    text: its output without reasoning. tool_calls: as OpenAI's assistant messages have them, each
    `{"id", "type": "function", "function": {"name", "arguments"}}`, arguments being the JSON the model wrote.
    """

    text: str
    tool_calls: list[dict[str, Any]] = []


class Timeline(msgspec.Struct, kw_only=True):
    """One request, ended. Failure is a field (`outcome`), never an exception.

    Instants are nanoseconds of the monotonic clock (`time.perf_counter_ns`), None where they do not
    apply; docs/metrics.md defines each. `event_ns` and `event_chars` have one entry for every
    output-bearing event, in order: its instant, and its length in characters.
    An answer that came as one body has no such instants and one entry in `event_chars`: all of its text.
    images: how many it brought, of an images endpoint.
    answer: what was said up to the end, or up to the failure; None where the prompt did not ask to keep it.
    """

    outcome: str
    error: str | None = None
    status: int | None = None
    connect_start_ns: int | None = None
    connected_ns: int | None = None
    sent_ns: int | None = None
    first_byte_ns: int | None = None
    first_answer_ns: int | None = None
    done_ns: int
    event_ns: Int64s = NO_EVENTS
    event_chars: Int64s = NO_EVENTS
    events: int = 0
    reasoning_events: int = 0
    first_event_tokens: int | None = None
    response_id: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    attempts: int = 1
    answer: Answer | None = None
    images: int | None = None
