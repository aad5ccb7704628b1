"""One server-sent event: its fields, and its data as JSON."""

import json
from typing import Any, Final

import orjson

_MOST_SHOWN: Final = 4 << 10


def loads(payload: bytes | bytearray) -> Any:
    """Parse JSON; what orjson refuses (lone surrogates, broken UTF-8) as leniently as SDKs do.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        try:
            lenient = json.dumps(json.loads(payload.decode("utf-8", "replace")), ensure_ascii=False)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        # a lone surrogate becomes "?", still one character: no file could hold it
        return json.loads(lenient.encode("utf-8", "replace"))


def fields(raw: bytes) -> tuple[bytes, bytes | None]:
    """Split one event into its name and its data (None when it has no data field)."""
    if raw.startswith(b"data: ") and raw.find(b"\n") == len(raw) - 2 and b"\r" not in raw:
        return b"", raw[6:-2].strip()
    name = b""
    data: list[bytes] = []
    for line in raw.splitlines():
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return name, b"\n".join(data).strip() if data else None


def beginning(data: bytes | bytearray) -> str:
    """Return enough of data that can't be read: it is cut to what is shown once secrets are out."""
    return data[:_MOST_SHOWN].decode("utf-8", "replace")
