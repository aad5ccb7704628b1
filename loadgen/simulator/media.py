"""Images and sound: what they count in a prompt, and the images that are made."""

import binascii
import hashlib
import io
import math
import struct
import wave
import zlib
from functools import lru_cache
from typing import Final, NamedTuple

from loadgen.simulator.api import ApiError

# OpenAI's rule for its vision models: 85 tokens, and 170 for each tile of 512 pixels, once the image fits
# into 2,048 x 2,048 and its shorter side is 768 at most.
LOW_DETAIL_TOKENS: Final = 85
TILE_TOKENS: Final = 170
SOUND_TOKENS_PER_S: Final = 10  # a token for 100 ms, as OpenAI's audio models count what users say
MP3_BYTES_PER_S: Final = 16_000  # 128 kbit/s: an MP3 is not decoded, its length is read off its size


class Medium(NamedTuple):
    """An image or a sound in a prompt. stands_for: 16 characters that say which one it is."""

    tokens: int
    stands_for: str


def read_image(url: str, param: str, *, low: bool) -> Medium:
    """Count an image given as a data URL.

    Raises:
        ApiError: 400; not a data URL (nothing is fetched), not base64, not an image.
    """
    head, comma, text = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        what = "Failed to download image: the simulator fetches nothing, send a data URL in base64."
        raise ApiError(what, param, "invalid_image_url")
    data = _decoded(text, "image_url", param)
    size = image_size(data)
    if size is None:
        what = "You uploaded an unsupported image. Please make sure your image is valid and one of"
        raise ApiError(f"{what} ['png', 'jpeg', 'gif', 'webp'].", param, "invalid_image_format")
    return Medium(LOW_DETAIL_TOKENS if low else image_tokens(*size), _stands_for(data))


def image_tokens(width: int, height: int) -> int:
    """Return what an image of so many pixels counts."""
    scale = min(1.0, 2048 / max(width, height))
    scale = min(scale, 768 / min(width, height))
    tiles = math.ceil(width * scale / 512) * math.ceil(height * scale / 512)
    return LOW_DETAIL_TOKENS + TILE_TOKENS * tiles


def image_size(data: bytes) -> tuple[int, int] | None:
    """Read width and height in pixels off the beginning of a PNG, GIF, JPEG or WebP; None if it is none."""
    size = None
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 33:
        size = struct.unpack_from(">II", data, 16)
    elif data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 13:
        size = struct.unpack_from("<HH", data, 6)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) >= 30:
        size = _webp_size(data)
    elif data[:2] == b"\xff\xd8":
        size = _jpeg_size(data)
    return size if size and all(size) else None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    if data[12:16] == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return (width & 0x3FFF, height & 0x3FFF) if data[12:16] == b"VP8 " else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Walk over a JPEG's segments to the frame header, which is any of SOF0 to SOF15 but DHT, JPG and DAC."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        at += 2 + length
    return None


def read_sound(text: str, kind: str, param: str) -> Medium:
    """Count a piece of sound: tokens for each second begun at the rate above, one at least.

    Raises:
        ApiError: 400; not base64, or not the format it is said to be.
    """
    data = _decoded(text, "audio data", param)
    seconds = _wav_s(data) if kind == "wav" else _mp3_s(data)
    if seconds is None:
        raise ApiError(f"The audio data could not be read as {kind}.", param, "invalid_value")
    return Medium(max(1, math.ceil(seconds * SOUND_TOKENS_PER_S)), _stands_for(data))


def _wav_s(data: bytes) -> float | None:
    try:
        with wave.open(io.BytesIO(data)) as sound:
            frames, rate = int(sound.getnframes()), int(sound.getframerate())
    except (wave.Error, EOFError):
        return None
    return frames / rate if rate else None


def _mp3_s(data: bytes) -> float | None:
    known = data[:3] == b"ID3" or (len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0)
    return len(data) / MP3_BYTES_PER_S if known else None


def _decoded(text: str, what: str, param: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise ApiError(f"Invalid base64 {what}.", param, "invalid_base64") from None


def _stands_for(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


@lru_cache(maxsize=64)
def png(width: int, height: int, colour: int) -> bytes:
    """Make an image: a PNG of one colour (0 to 255) out of a palette of two, which takes next to no bytes."""
    lines = (b"\0" + bytes((width + 7) // 8)) * height
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0)),
        (b"PLTE", bytes((colour, 255 - colour, 128))),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    )
    chunks = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
