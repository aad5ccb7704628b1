"""Images and sounds of a scenario: which format a file has, by its first bytes, and the size `"1024x768"`."""

import re
from typing import Final, Literal

HEAD_BYTES: Final = 12  # what `format_of` looks at
_MOST_PIXELS: Final = 8192  # a side
_SIZE: Final = re.compile(r"([1-9][0-9]{0,3})x([1-9][0-9]{0,3})")
_HEADS: Final[dict[str, re.Pattern[bytes]]] = {
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "jpeg": re.compile(rb"\xff\xd8\xff"),
    "gif": re.compile(rb"GIF8[79]a"),
    "webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "wav": re.compile(rb"RIFF....WAVE", re.DOTALL),
    "mp3": re.compile(rb"ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]"),  # a tag, or a frame of layer III
}
FORMATS: Final[dict[Literal["image", "sound"], tuple[str, ...]]] = {
    "image": ("png", "jpeg", "gif", "webp"),
    "sound": ("wav", "mp3"),
}


def format_of(head: bytes) -> str | None:
    """Return the format of a file by its first `HEAD_BYTES` bytes; None: one that no endpoint takes."""
    return next((name for name, pattern in _HEADS.items() if pattern.match(head)), None)


def size_of(text: str) -> tuple[int, int]:
    """Return width and height in pixels of a size such as `1024x768`.

    Raises:
        ValueError: it is none, or a side is beyond 8,192.
    """
    found = _SIZE.fullmatch(text)
    if not found:
        raise ValueError('is not a size in pixels; write it like "1024x768"')
    width, height = int(found[1]), int(found[2])
    if max(width, height) > _MOST_PIXELS:
        raise ValueError(f"is larger than images are; write sides of at most {_MOST_PIXELS:,}")
    return width, height
