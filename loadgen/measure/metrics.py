"""The metrics: what is recorded of a request, in which unit, and how it reads from a sample.

Definitions: docs/metrics.md. A metric that does not apply gives None: never 0, never NaN.
A new metric is a row in `METRICS`.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from loadgen.measure.sample import Sample

MS: Final = 1e-3  # a histogram of µs, reported in ms
MILLI: Final = 1e-3  # a histogram of thousandths, reported in units
ONE: Final = 1.0


class Metric(NamedTuple):
    """One metric of a request.

    name: without unit, as in scenarios. key: with unit, as in JSON. scale: histogram unit → reported unit.
    value: sample → integer in the histogram's unit, or None.
    failures: whether `with_failures` percentiles are kept (a failure ranks above every value).
    """

    name: str
    key: str
    unit: str
    scale: float
    value: Callable[[Sample], int | None]
    failures: bool = False


def _between(start: int | None, end: int | None) -> int | None:
    """Microseconds from one instant to another, rounded; 0 at least (both are on one clock)."""
    if start is None or end is None:
        return None
    return max(0, (end - start + 500) // 1000)


def decode_span(s: Sample) -> tuple[int, float] | None:
    """Return (ns, tokens) from the first output event to the last: the span of tpot and the speeds.

    Tokens are the visible ones without those of the first event. None where there is no span.
    """
    if s.first_token_ns is None or s.last_token_ns is None or s.output_tokens is None:
        return None
    span = s.last_token_ns - s.first_token_ns
    tokens = s.output_tokens - s.hidden_reasoning_tokens - (s.first_event_tokens or 0.0)
    return (span, tokens) if span > 0 and tokens > 0 else None


def _tpot(s: Sample) -> int | None:
    span = decode_span(s)
    return None if span is None else round(span[0] / span[1] / 1000)


def _tokens_per_s(s: Sample) -> int | None:
    span = decode_span(s)
    return None if span is None else round(span[1] / span[0] * 1e12)


def _chars_per_s(s: Sample) -> int | None:
    if s.first_token_ns is None or s.last_token_ns is None or s.output_chars is None:
        return None
    span = s.last_token_ns - s.first_token_ns
    chars = s.output_chars - (s.first_event_chars or 0)
    return round(chars / span * 1e12) if span > 0 and chars > 0 else None


def _tokens_per_chunk(s: Sample) -> int | None:
    if s.output_tokens is None or not s.output_events:
        return None
    visible = s.output_tokens - s.hidden_reasoning_tokens
    return round(visible / s.output_events * 1000) if visible > 0 else None


def _send_lag(s: Sample) -> int | None:
    left = s.connect_start_ns if s.connect_start_ns is not None else s.sent_ns
    return _between(s.intended_ns, left)


def _of_asked(got: int | None, asked: int | None) -> int | None:
    """Thousandths of what was asked for."""
    return round(got / asked * 1000) if got is not None and asked else None


METRICS: Final[tuple[Metric, ...]] = (
    Metric("ttft", "ttft_ms", "ms", MS, lambda s: _between(s.sent_ns, s.first_token_ns), failures=True),
    Metric(
        "ttft_from_plan",
        "ttft_from_plan_ms",
        "ms",
        MS,
        lambda s: _between(s.intended_ns, s.first_token_ns),
        failures=True,
    ),
    Metric("ttfa", "ttfa_ms", "ms", MS, lambda s: _between(s.sent_ns, s.first_answer_ns), failures=True),
    Metric("tpot", "tpot_ms", "ms/token", MS, _tpot),
    Metric("e2e", "e2e_ms", "ms", MS, lambda s: _between(s.sent_ns, s.done_ns), failures=True),
    Metric(
        "e2e_from_plan",
        "e2e_from_plan_ms",
        "ms",
        MS,
        lambda s: _between(s.intended_ns, s.done_ns),
        failures=True,
    ),
    Metric("send_lag", "send_lag_ms", "ms", MS, _send_lag),
    Metric("connect", "connect_ms", "ms", MS, lambda s: _between(s.connect_start_ns, s.connected_ns)),
    Metric(
        "longest_gap",
        "longest_gap_ms",
        "ms",
        MS,
        lambda s: None if s.longest_gap_ns is None else (s.longest_gap_ns + 500) // 1000,
    ),
    Metric("output_tokens_per_s", "output_tokens_per_s", "tokens/s", MILLI, _tokens_per_s),
    Metric("output_chars_per_s", "output_chars_per_s", "chars/s", MILLI, _chars_per_s),
    Metric("prompt_tokens", "prompt_tokens", "tokens", ONE, lambda s: s.prompt_tokens),
    Metric("cached_tokens", "cached_tokens", "tokens", ONE, lambda s: s.cached_tokens),
    Metric("reasoning_tokens", "reasoning_tokens", "tokens", ONE, lambda s: s.reasoning_tokens),
    Metric("output_tokens", "output_tokens", "tokens", ONE, lambda s: s.output_tokens),
    Metric("output_chars", "output_chars", "chars", ONE, lambda s: s.output_chars),
    Metric("tokens_per_chunk", "tokens_per_chunk", "tokens", MILLI, _tokens_per_chunk),
    Metric("asked_prompt_tokens", "asked_prompt_tokens", "tokens", ONE, lambda s: s.asked_prompt_tokens),
    Metric("asked_output_tokens", "asked_output_tokens", "tokens", ONE, lambda s: s.asked_output_tokens),
    Metric(
        "prompt_tokens_of_asked",
        "prompt_tokens_of_asked",
        "got / asked",
        MILLI,
        lambda s: _of_asked(s.prompt_tokens, s.asked_prompt_tokens),
    ),
    Metric(
        "output_tokens_of_asked",
        "output_tokens_of_asked",
        "got / asked",
        MILLI,
        lambda s: _of_asked(s.output_tokens, s.asked_output_tokens),
    ),
)

CHUNK_GAP: Final = Metric("chunk_gap", "chunk_gap_ms", "ms", MS, lambda _: None)
"""One value for every gap between output events, not one a request; recorded from the timeline."""

ALL_METRICS: Final[tuple[Metric, ...]] = (*METRICS, CHUNK_GAP)
"""The order of the rows in the recorder; chunk_gap is the last."""
