"""What a kind of endpoint is made of, and what several kinds have in common: words, usage, errors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import orjson

from loadgen.scenario.model import Target
from loadgen.wire.timeline import Usage
from loadgen.workload.prompt import Prompt

Event = Mapping[str, Any]


class Piece(NamedTuple):
    """What one event of a stream says.

    answer: output a user sees, tool calls' names and arguments included; reasoning: the rest of the output.
    """

    answer: str = ""
    reasoning: str = ""
    finish: str | None = None
    usage: Usage | None = None
    error: str | None = None
    response_id: str | None = None


def _itself(body: Event) -> Sequence[Event]:
    return (body,)


def _nothing(_: Event) -> tuple[str, list[dict[str, Any]]]:
    return "", []


class Endpoint(NamedTuple):
    """One kind of endpoint.

    text_keys: JSON keys whose string value is streamed output; the decoder's fast path looks for them.
    unread: keys that differ from event to event and that neither `read` nor `quote` ever looks at.
    quote: what an event adds to the message that a later turn quotes: text, and pieces of tool calls.
    whole: an answer that is one JSON body, as the events that would have said the same.
    streams: whether answers are event streams. makes: what answers are made of. entry: where that is no text,
    the keys of which each entry of `data` has one.
    """

    path: str
    body: Callable[[Target, Prompt], bytes]
    read: Callable[[Event], Piece]
    text_keys: tuple[str, ...] = ()
    unread: tuple[bytes, ...] = ()
    quote: Callable[[Event], tuple[str, list[dict[str, Any]]]] = _nothing
    whole: Callable[[Event], Sequence[Event]] = _itself
    streams: bool = True
    makes: Literal["text", "images", "vectors"] = "text"
    entry: tuple[str, ...] = ()


# requests


def written(body: dict[str, Any], target: Target, prompt: Prompt, caps: tuple[str, ...] = ()) -> bytes:
    """Finish a request's body; one that the prompt brings along takes its place, extra_body lies over it.

    caps: the names of the answer's cap, the one that we use last.
    """
    extra = target.extra_body
    if prompt.body is not None:
        named = prompt.body if "model" in prompt.body else {"model": target.model} | prompt.body
        return orjson.dumps(named | extra)
    asked = prompt.asked_output_tokens
    if caps and asked is not None and caps[0] not in extra:
        body[caps[-1]] = asked
    if prompt.session_id is not None and target.session is not None and target.session.field is not None:
        body[target.session.field] = prompt.session_id
    if prompt.exact_output:
        # of the cap that goes out: engines refuse a minimum above it, and without one they would never end
        cap = next((extra[name] for name in caps if extra.get(name)), asked)
        if cap is not None:
            body |= {"min_tokens": cap, "ignore_eos": True}
    return orjson.dumps(body | extra if extra else body)


# answers


def text_of_parts(content: Any) -> str:
    """Join the text parts of a content that is a list of parts."""
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def error_text(body: Any) -> str:
    """Find the words of an error answer: OpenAI's `error.message`, FastAPI's `detail`, or all of it."""
    while isinstance(body, dict):
        values = (body.get(key) for key in ("error", "message", "detail", "msg"))
        words = next((v for v in values if isinstance(v, dict | list) or (isinstance(v, str) and v)), None)
        if words is None:
            break
        body = words
    if isinstance(body, str):
        return body
    try:
        return orjson.dumps(body).decode()
    except orjson.JSONEncodeError:  # nested deeper, or a number larger, than it writes
        return "an error that can't be shown"


def error_of(event: Event) -> str | None:
    """Return the words of an error inside an answer that was a success as HTTP; None: there is none."""
    error = event.get("error")
    if error:
        return error_text(error)
    return error_text(dict(event)) if event.get("object") == "error" else None


def name_of(value: Any) -> str | None:
    """Take a name that a server gave."""
    return value if isinstance(value, str) and value else None


def read_usage(usage: Any, prompt: str = "prompt", output: str = "completion") -> Usage | None:
    """Read a `usage` object; None when it is null or says nothing.

    prompt, output: what the kind calls the two; Responses and Images say "input" and "output".
    """
    if not isinstance(usage, dict) or not usage:
        return None
    return Usage(
        prompt_tokens=_int(usage.get(f"{prompt}_tokens")),
        output_tokens=_int(usage.get(f"{output}_tokens")),
        cached_tokens=_detail(usage, f"{prompt}_tokens_details", "cached_tokens"),
        reasoning_tokens=_detail(usage, f"{output}_tokens_details", "reasoning_tokens"),
    )


def _int(value: Any) -> int | None:
    """Take a count of tokens; what is none, or beyond every sum that is made of it, is left out."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def _detail(usage: Mapping[str, Any], table: str, key: str) -> int | None:
    details = usage.get(table)
    return _int(details.get(key)) if isinstance(details, dict) else None
