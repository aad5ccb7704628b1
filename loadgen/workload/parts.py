"""Images and sounds as parts of a message, and the pool of them that a workload takes in turn."""

import functools
import hashlib
from pathlib import Path
from typing import Any, Final

from loadgen.errors import DataError
from loadgen.scenario.media import HEAD_BYTES, format_of, size_of
from loadgen.scenario.words import Workload
from loadgen.workload.media import Media
from loadgen.workload.picture import picture
from loadgen.workload.prompt import Message
from loadgen.workload.sound import SAMPLE_BYTES, SAMPLES_PER_S, sound

_POOL: Final = 16
_POOL_BYTES: Final = 1 << 26  # of pixels, or of samples: the larger each is, the fewer there are


class Parts:
    """The images and sounds that go with each session's first message.

    files_digest: hex SHA-256 of the files' bytes; "" where none are read.

    Raises:
        DataError: a file can't be read, or is no image or sound.
    """

    def __init__(self, workload: Workload, seed: int) -> None:
        images, audio = workload.images, workload.audio
        self._salt = workload.salt or ""
        self._count = 0 if images is None else int(images.count)
        self._images: list[Media] = []
        self._sounds: list[Media] = []
        digest = hashlib.sha256()
        files = [*(images.files if images else ()), *(audio.files if audio else ())]
        if images is not None:
            read = [_read(path, digest) for path in images.files]
            self._images = read or _pictures(*size_of(images.size), seed)
        if audio is not None:
            self._sounds = [_read(path, digest) for path in audio.files] or _sounds(audio.seconds, seed)
        self.files_digest = digest.hexdigest() if files else ""

    def added(self, messages: list[Message], session: int, target: int) -> list[Message]:
        """Return the messages with the parts behind the text of the user's first; those given are left."""
        # without a salt each comes again as it was, for a cache to find
        key = f"{self._salt}-{session}-{target}-" if self._salt else ""
        parts: list[Any] = []
        for i in range(self._count):
            image = self._images[(session * self._count + i) % len(self._images)]
            url = f"data:image/{image.form};base64,{image.base64(f'{key}{i}')}"
            parts.append({"type": "image_url", "image_url": {"url": url}})
        if self._sounds:
            sound = self._sounds[session % len(self._sounds)]
            said = {"data": sound.base64(key), "format": sound.form}
            parts.append({"type": "input_audio", "input_audio": said})
        at = next((i for i, m in enumerate(messages) if m["role"] == "user"), len(messages) - 1)
        content = messages[at].get("content") or []
        text = [{"type": "text", "text": content}] if isinstance(content, str) else content
        return [*messages[:at], {**messages[at], "content": [*text, *parts]}, *messages[at + 1 :]]


def _read(path: str, digest: Any) -> Media:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(path, f"can't be read: {error.strerror}", "name a file that can") from None
    digest.update(data)
    kind = format_of(data[:HEAD_BYTES])
    if kind is None:  # it has changed since the scenario was read
        raise DataError(path, "is no image and no sound", "name a PNG, JPEG, WebP, GIF, WAV or MP3 file")
    return Media(kind, data)


# kept: prompts are opened again once lengths are calibrated


@functools.lru_cache(maxsize=8)
def _pictures(width: int, height: int, seed: int) -> list[Media]:
    return [picture(width, height, seed, n) for n in range(_pool(width * height))]


@functools.lru_cache(maxsize=8)
def _sounds(seconds: float, seed: int) -> list[Media]:
    return [sound(seconds, seed, n) for n in range(_pool(seconds * SAMPLES_PER_S * SAMPLE_BYTES))]


def _pool(size_bytes: float) -> int:
    return min(_POOL, max(1, int(_POOL_BYTES / max(1, size_bytes))))
