"""Which of `[[routes]]` a request takes: the first whose conditions it meets."""

from collections.abc import Sequence
from typing import Any

from loadgen.scenario.model import Route
from loadgen.workload.prompt import Conversation, Prompt, Turn


def choose(routes: Sequence[Route], said: Conversation, tokens: float) -> int:
    """Return the number of the route (0-based) for a prompt of so many tokens.

    Raises:
        LookupError: no route takes it; a checked scenario has one for every request.
    """
    for number, route in enumerate(routes):
        if (
            (not route.task or said.task in route.task)
            and (not route.risk or said.risk in route.risk)
            and (route.over is None or tokens > route.over)
            and (route.up_to is None or tokens <= route.up_to)
        ):
            return number
    raise LookupError(f"no route for task {said.task!r}, risk {said.risk!r}, {tokens:.0f} tokens")


def prompt_tokens(says: Turn | Prompt, chars_per_token: float) -> float:
    """Return the tokens of a prompt: those asked for, else estimated from its text."""
    if says.asked_prompt_tokens is not None:
        return says.asked_prompt_tokens
    if says.body is not None:
        said = says.body.get("messages") or says.body.get("prompt") or says.body.get("input") or ()
        return max(1, _chars(said)) / chars_per_token
    chars = sum(map(len, says.inputs)) or _chars(says.messages) + (len(says.fill[1]) if says.fill else 0)
    return max(1, chars) / chars_per_token


def _chars(said: str | Sequence[Any]) -> int:
    """Count the characters of the texts, not of images and sounds."""
    if isinstance(said, str):
        return len(said)
    total = 0
    for item in said:
        content = item if isinstance(item, str) else item.get("content") or item.get("text") or ""
        total += len(content) if isinstance(content, str) else _chars(content)
    return total
