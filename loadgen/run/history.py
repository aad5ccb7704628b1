"""What a later turn quotes of an answer, as OpenAI's messages have it."""

from collections.abc import Mapping

from loadgen.wire.timeline import Answer
from loadgen.workload.prompt import Message


def quoted(answer: Answer) -> list[Message]:
    """Return the answer as the next turn quotes it."""
    if answer.tool_calls:
        return [{"role": "assistant", "content": answer.text or None, "tool_calls": answer.tool_calls}]
    return [{"role": "assistant", "content": answer.text}]


def returned(answer: Answer | None, results: Mapping[str, str]) -> list[Message]:
    """Return what the functions return that an answer calls; results: by the function's name."""
    calls = answer.tool_calls if answer is not None and results else []
    return [
        {
            "role": "tool",
            "tool_call_id": call.get("id", ""),
            "content": results.get(call["function"]["name"], "error: no such function"),
        }
        for call in calls
    ]
