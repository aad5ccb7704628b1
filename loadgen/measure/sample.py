"""One request as one flat row: the line of samples.jsonl, made from its timeline."""

from typing import NamedTuple

import msgspec

from loadgen.measure.tokens import count_tokens
from loadgen.wire.timeline import Timeline


class Sample(msgspec.Struct, kw_only=True):
    """A request from its intended time to its end.

    Fields ending in `_ns` are instants: integer nanoseconds since the run's epoch on the monotonic
    clock (`longest_gap_ns` alone is a length); what does not apply is None. Definitions: docs/metrics.md.
    Beyond the contract: output_events are the events that carried output; first_event_tokens and
    first_event_chars the part of the output that the first of them carried; hidden_reasoning_tokens those
    that no event carried; window_output_tokens the output that arrived inside the measurement window;
    window_done whether the request ended in it; level the plan's level it was begun in ("" where there is
    only one, whose window is meant here); last_turn whether its conversation ended with it; rule the number
    of the route that sent it to the target `route`, risk its label (the stage says them); images how many
    its answer brought.
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
    first_event_chars: int | None = None
    hidden_reasoning_tokens: int = 0
    window_output_tokens: float = 0.0
    window_done: bool = False
    attempts: int = 1
    images: int | None = None
    cost_usd: float | None = None
    level: str = ""
    last_turn: bool = True
    rule: int | None = None
    risk: str | None = None


class Origin(NamedTuple):
    """Where in the plan a request comes from, and what it asked for."""

    seq: int
    target: str
    task: str
    session: int
    turn: int
    phase: str
    worker: int
    intended_ns: int
    asked_prompt_tokens: int | None
    asked_output_tokens: int | None
    level: str = ""


def make_sample(
    origin: Origin,
    timeline: Timeline,
    epoch_ns: int,
    window_ns: tuple[int, int | None],
    *,
    last_turn: bool = True,
) -> Sample:
    """Make the row of a request that has ended.

    epoch_ns: the run's epoch on the timeline's clock. window_ns: (start, end) of its level's window, offsets
    from the epoch; an end of None is still open. last_turn: whether its conversation ended with it.
    """
    t, (start, end), done_ns = timeline, window_ns, timeline.done_ns - epoch_ns
    chars = int(t.event_chars.sum())
    tokens = count_tokens(t, chars, start + epoch_ns, None if end is None else end + epoch_ns)
    # attribute by attribute: `dict` and `asdict` would cost more than all the rest here
    return Sample(
        seq=origin.seq,
        target=origin.target,
        task=origin.task,
        session=origin.session,
        turn=origin.turn,
        phase=origin.phase,
        worker=origin.worker,
        outcome=t.outcome,
        status=t.status,
        error=t.error,
        response_id=t.response_id,
        finish_reason=t.finish_reason,
        intended_ns=origin.intended_ns,
        connect_start_ns=_offset(t.connect_start_ns, epoch_ns),
        connected_ns=_offset(t.connected_ns, epoch_ns),
        sent_ns=_offset(t.sent_ns, epoch_ns),
        first_byte_ns=_offset(t.first_byte_ns, epoch_ns),
        first_token_ns=int(t.event_ns[0]) - epoch_ns if len(t.event_ns) else None,
        first_answer_ns=_offset(t.first_answer_ns, epoch_ns),
        last_token_ns=int(t.event_ns[-1]) - epoch_ns if len(t.event_ns) else None,
        done_ns=done_ns,
        asked_prompt_tokens=origin.asked_prompt_tokens,
        asked_output_tokens=origin.asked_output_tokens,
        prompt_tokens=t.usage.prompt_tokens if t.usage else None,
        cached_tokens=t.usage.cached_tokens if t.usage else None,
        reasoning_tokens=t.usage.reasoning_tokens if t.usage else None,
        output_tokens=tokens.output,
        output_chars=chars if len(t.event_chars) else None,
        token_source=tokens.source,
        events=t.events,
        output_events=len(t.event_ns),
        longest_gap_ns=int((t.event_ns[1:] - t.event_ns[:-1]).max()) if len(t.event_ns) > 1 else None,
        first_event_tokens=tokens.first,
        first_event_chars=int(t.event_chars[0]) if len(t.event_ns) else None,
        hidden_reasoning_tokens=tokens.hidden,
        window_output_tokens=tokens.inside,
        window_done=start <= done_ns and (end is None or done_ns < end),
        attempts=t.attempts,
        images=t.images,
        level=origin.level,
        last_turn=last_turn,
    )


def _offset(instant_ns: int | None, epoch_ns: int) -> int | None:
    return None if instant_ns is None else instant_ns - epoch_ns
