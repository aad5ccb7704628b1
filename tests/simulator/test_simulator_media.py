"""What images and sounds count, and that what is made is what it says."""

import base64
import io
import struct
import wave
import zlib

import pytest

from loadgen.simulator.api import ApiError
from loadgen.simulator.media import image_size, image_tokens, png, read_image, read_sound


def webp(kind: bytes, header: bytes) -> bytes:
    return b"RIFF\0\0\0\0WEBP" + kind + b"\0\0\0\0" + header + bytes(16)


def jpeg(*segments: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(s[:2] + struct.pack(">H", len(s)) + s[2:] for s in segments) + b"\xff\xd9"


FRAME = b"\xff\xc2\x08" + struct.pack(">HH", 480, 640) + bytes(9)  # progressive


@pytest.mark.parametrize(
    ("data", "size"),
    [
        pytest.param(png(640, 480, 1), (640, 480), id="png"),
        pytest.param(b"GIF89a" + struct.pack("<HH", 640, 480) + bytes(3), (640, 480), id="gif"),
        pytest.param(
            jpeg(b"\xff\xe0JFIF\0" + bytes(9), b"\xff\xc4" + bytes(30), FRAME), (640, 480), id="jpeg"
        ),
        pytest.param(
            webp(b"VP8X", bytes(4) + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")),
            (640, 480),
            id="webp-extended",
        ),
        pytest.param(
            webp(b"VP8L", b"\x2f" + (639 | 479 << 14).to_bytes(4, "little")), (640, 480), id="webp-lossless"
        ),
        pytest.param(
            webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", 640, 480)),
            (640, 480),
            id="webp-lossy",
        ),
        pytest.param(png(640, 480, 1)[:20], None, id="png-cut"),
        pytest.param(jpeg(b"\xff\xe0JFIF\0"), None, id="jpeg-without-a-frame"),
        pytest.param(jpeg(FRAME)[:8], None, id="jpeg-cut"),
        pytest.param(b"GIF89a" + bytes(7), None, id="no-pixels"),
        pytest.param(b"RIFF\0\0\0\0WEBPVP9 " + bytes(16), None, id="webp-unknown"),
        pytest.param(b"hello", None, id="text"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_the_size_of_an_image(data: bytes, size: tuple[int, int] | None) -> None:
    assert image_size(data) == size


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [
        (1, 1, 85 + 170),
        (512, 512, 85 + 170),
        (513, 512, 85 + 2 * 170),
        (1024, 1024, 85 + 4 * 170),  # as 768 x 768
        (2048, 4096, 85 + 6 * 170),  # OpenAI's own example: as 768 x 1536
        (10_000, 100, 85 + 4 * 170),  # as 2048 x 20
    ],
)
def test_the_tokens_of_an_image(width: int, height: int, tokens: int) -> None:
    assert image_tokens(width, height) == tokens


def test_low_detail_counts_the_same_for_every_size() -> None:
    url = "data:image/png;base64," + base64.b64encode(png(2000, 2000, 1)).decode()
    assert (read_image(url, "p", low=True).tokens, read_image(url, "p", low=False).tokens) == (85, 765)


def test_a_png_can_be_unpacked() -> None:
    data = png(33, 5, 200)
    assert data[25] == 3  # a palette
    at = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[at - 4 : at])
    assert len(zlib.decompress(data[at + 4 : at + 4 + length])) == 5 * (1 + 5)
    at, chunks = 8, []
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(body)
        chunks.append(body[:4])
        at += 12 + length
    assert chunks == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]


def sound(seconds: float, rate: int = 8000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(rate)
        made.writeframes(bytes(round(seconds * rate) * 2))
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "kind", "tokens"),
    [
        pytest.param(sound(1.0), "wav", 10, id="a-second"),
        pytest.param(sound(2.01), "wav", 21, id="rounded-up"),
        pytest.param(sound(0.0), "wav", 1, id="nothing-said"),
        pytest.param(b"ID3" + bytes(31_997), "mp3", 20, id="mp3"),
        pytest.param(b"\xff\xfb" + bytes(10), "mp3", 1, id="mp3-without-a-tag"),
        pytest.param(sound(1.0), "mp3", None, id="wav-as-mp3"),
        pytest.param(b"RIFF", "wav", None, id="cut"),
        pytest.param(b"", "mp3", None, id="empty"),
    ],
)
def test_the_tokens_of_a_sound(data: bytes, kind: str, tokens: int | None) -> None:
    text = base64.b64encode(data).decode()
    if tokens is None:
        with pytest.raises(ApiError, match=f"could not be read as {kind}"):
            read_sound(text, kind, "p")
    else:
        assert read_sound(text, kind, "p").tokens == tokens
