"""The mark at the start of a prompt that keeps a server's prefix cache from answering it."""

from typing import Any


def salted(messages: list[dict[str, Any]], salt: str, session: int, target: int) -> list[dict[str, Any]]:
    """Return the messages with a mark such as `[a1b2c3d4-0000002a-00] ` before everything else.

    Prefix caches match from the first token on, so the mark stands at the very start of the first
    message. It has the same length for every session and target (numbers in hexadecimal, 8 and 2
    digits), so that all targets get equally long prompts. The messages given are left as they are.
    """
    mark = f"[{salt}-{session:08x}-{target:02x}] "
    first = messages[0]
    return [{**first, "content": _marked(first.get("content"), mark)}, *messages[1:]]


def _marked(content: Any, mark: str) -> Any:
    if isinstance(content, str):
        return mark + content
    if isinstance(content, list):
        if content and content[0].get("type") == "text":
            return [{**content[0], "text": mark + content[0]["text"]}, *content[1:]]
        return [{"type": "text", "text": mark}, *content]
    return mark
