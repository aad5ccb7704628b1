"""How many tokens a request had: in all, in its first event, in the window. Rules: docs/metrics.md."""

from typing import NamedTuple

from loadgen.wire.timeline import Timeline


class Tokens(NamedTuple):
    """output: None where nothing tells. source: what told, "usage" or "events".

    hidden: reasoning that the server counted and no event carried. first: of the first output event, None
    without output. inside: output that arrived inside the window.
    """

    output: int | None
    source: str | None
    hidden: int
    first: float | None
    inside: float


def count_tokens(t: Timeline, chars: int, start_ns: int, end_ns: int | None) -> Tokens:
    """Count by the server's usage, else take every output event for a token.

    chars: of all output. start_ns, end_ns: the measurement window on the timeline's clock; None: still open.
    """
    output, source = None, None
    if t.usage is not None and t.usage.output_tokens is not None:
        output, source = t.usage.output_tokens, "usage"
    elif len(t.event_ns):
        output, source = len(t.event_ns), "events"
    if output is None:
        return Tokens(None, None, 0, None, 0.0)
    hidden = 0
    if t.usage is not None and not t.reasoning_events:
        hidden = min(t.usage.reasoning_tokens or 0, output)
    if not len(t.event_ns):  # an answer that was one body arrived when it was done
        arrived = t.outcome == "ok" and start_ns <= t.done_ns and (end_ns is None or t.done_ns < end_ns)
        return Tokens(output, source, hidden, None, output if arrived else 0.0)
    return Tokens(
        output,
        source,
        hidden,
        _first(t, chars, output - hidden, source),
        _inside(t, chars, start_ns, end_ns, output),
    )


def _first(t: Timeline, chars: int, visible: int, source: str | None) -> float:
    """As counted in that event, else its share of the characters."""
    if source != "usage":
        return 1
    if t.first_event_tokens is not None:
        return t.first_event_tokens
    return visible * int(t.event_chars[0]) / chars


def _inside(t: Timeline, chars: int, start_ns: int, end_ns: int | None, output: int) -> float:
    """The output, by the characters' share of each event."""
    if t.event_ns[0] >= start_ns and (end_ns is None or t.event_ns[-1] < end_ns):
        return output
    inside = t.event_ns >= start_ns
    if end_ns is not None:
        inside &= t.event_ns < end_ns
    return float(output * int(t.event_chars[inside].sum()) / chars)


def tokens_between(
    output: int,
    span_ns: tuple[int, int],
    window_ns: tuple[int, int],
    timeline: Timeline | None,
    epoch_ns: int,
) -> float:
    """Output that arrived in a window (start <= t < end); spans are offsets from the epoch.

    span_ns: of the first and last output event. timeline: None for a run read back, where the output is
    taken to have come evenly over its span.
    """
    first, last = span_ns
    start, end = window_ns
    if last < start or first >= end:
        return 0.0
    if first >= start and last < end:
        return output
    if timeline is None:
        return output * (min(last, end) - max(first, start)) / (last - first)
    chars = int(timeline.event_chars.sum())
    return _inside(timeline, chars, start + epoch_ns, end + epoch_ns, output)
