"""A key path such as `targets[1].timeouts.total`: as parts and as text."""

import json
import re
from typing import Final

Key = tuple[str | int, ...]

# a quoted part, a position, or a bare part; each may follow a dot
_PART: Final = re.compile(
    r"""\.?(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|'(?P<literal>[^']*)'|\[(?P<index>[0-9]{1,9})]|(?P<bare>[^\s.\[\]"'=]+))"""
)
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def parse(text: str) -> tuple[Key, str]:
    """Read the key path at the start of `text`; return its parts and the text after it.

    Raises:
        ValueError: there is no key path at the start.
    """
    parts: list[str | int] = []
    at = 0
    while match := _PART.match(text, at):
        dotted = match[0].startswith(".")
        if match["index"] is not None:
            if dotted or not parts:
                break
            parts.append(int(match["index"]))
        elif dotted != bool(parts):
            break
        elif match["quoted"] is not None:
            parts.append(str(json.loads(f'"{match["quoted"]}"')))
        else:
            parts.append(match["literal"] or match["bare"] or "")
        at = match.end()
    if not parts:
        raise ValueError("does not begin with a key such as load.concurrency")
    return tuple(parts), text[at:]


def text_of(key: Key) -> str:
    """Write a key path the way TOML and `--set` do."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (
                part if _BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False)
            )
    return text
