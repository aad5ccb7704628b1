"""Images and sounds in a session's first message: real files, of the asked size, none twice."""

import base64
import io
import struct
import wave
import zlib
from pathlib import Path
from typing import Any

import pytest

from loadgen.errors import DataError
from loadgen.scenario.lengths import Count, FilePath
from loadgen.scenario.words import AudioParts, ImageParts, Workload
from loadgen.workload.media import Media
from loadgen.workload.picture import picture
from loadgen.workload.prompt import Prompts
from loadgen.workload.source import open_prompts

GIF = b"GIF89a" + bytes(20)
MP3 = b"ID3\x04" + bytes(20)


def png_of(data: bytes) -> tuple[int, int, bytes]:
    """Read a PNG as a decoder must: every chunk's check, every row's filter; return its size and pixels."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, []
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", data, at + 8 + size) == (zlib.crc32(name + body),)
        chunks.append((name, body))
        at += 12 + size
    assert [name for name, _ in chunks][:2] == [b"IHDR", b"PLTE"]
    assert chunks[-1] == (b"IEND", b"")
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[0][1])
    assert (depth, colour, rest) == (8, 3, [0, 0, 0])
    unpacker = zlib.decompressobj()
    rows = unpacker.decompress(b"".join(body for name, body in chunks if name == b"IDAT"))
    assert unpacker.eof
    assert not unpacker.unused_data
    assert len(rows) == height * (width + 1)
    assert set(rows[:: width + 1]) == {0}
    pixels = b"".join(rows[n + 1 : n + 1 + width] for n in range(0, len(rows), width + 1))
    assert max(pixels) < len(chunks[1][1]) // 3
    return width, height, pixels


def opened(**keys: Any) -> Prompts:
    return open_prompts([Workload(**{"source": "synthetic", "salt": "a1b2c3d4", **keys})], 7)


def parts(prompts: Prompts, session: int, target: int = 0) -> list[Any]:
    """The parts of the first message behind its text."""
    content: list[Any] = prompts.conversation(session, target).turns[0].messages[-1]["content"]
    assert content[0]["type"] == "text"
    return content[1:]


def image_data(part: Any) -> bytes:
    head, _, text = part["image_url"]["url"].partition(",")
    assert part["type"] == "image_url"
    assert head == "data:image/png;base64"
    return base64.b64decode(text, validate=True)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 3), (17, 31), (640, 480), (300, 1), (8192, 2)])
def test_a_picture_is_a_png_of_its_size(size: tuple[int, int]) -> None:
    data = base64.b64decode(picture(*size, 7, 0).base64("key"), validate=True)
    assert png_of(data)[:2] == size


def test_a_diagram_is_as_large_as_diagrams_are() -> None:
    data = base64.b64decode(picture(1024, 768, 7, 0).base64("key"))
    assert 30_000 < len(data) < 200_000
    pixels = png_of(data)[2]
    assert 0.3 < pixels.count(0) / len(pixels) < 0.9  # paper
    assert len(set(pixels)) == 16


def test_every_session_has_images_of_its_own() -> None:
    prompts = opened(images=ImageParts(count=Count(2), size="64x48"))
    seen = []
    for session in range(40):
        first, second = parts(prompts, session)
        seen += [png_of(image_data(first)), png_of(image_data(second))]
    assert {(width, height) for width, height, _ in seen} == {(64, 48)}
    assert len({pixels for *_, pixels in seen}) == 80
    assert len({pixels[:-64] for *_, pixels in seen}) == 16  # drawn once, in turn, but for the last row
    assert parts(prompts, 3) == parts(opened(images=ImageParts(count=Count(2), size="64x48")), 3)
    assert image_data(parts(prompts, 3, 1)[0]) != image_data(parts(prompts, 3, 0)[0])


def test_without_a_salt_images_come_again() -> None:
    prompts = opened(images=ImageParts(size="64x48"), salt=False)
    assert parts(prompts, 0) == parts(prompts, 16) == parts(prompts, 0, 1)
    assert parts(prompts, 0) != parts(prompts, 1)


@pytest.mark.parametrize("seconds", [0.001, 0.5, 2.0])
def test_a_sound_is_a_wav_of_its_length(seconds: float) -> None:
    prompts = opened(audio=AudioParts(seconds=seconds))
    heard = set()
    for session in range(20):
        (part,) = parts(prompts, session)
        assert (part["type"], part["input_audio"]["format"]) == ("input_audio", "wav")
        with wave.open(io.BytesIO(base64.b64decode(part["input_audio"]["data"], validate=True))) as file:
            assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
            n = file.getnframes()
            heard.add(file.readframes(n))
            assert n == max(32, round(seconds * file.getframerate()))
    assert len(heard) == 20


@pytest.mark.parametrize("whole", range(7))
def test_a_file_is_the_same_where_it_is_cut_for_base64(whole: int) -> None:
    media = Media("png", bytes(range(whole)), 4, lambda own: own[::-1])
    data = base64.b64decode(media.base64("key"), validate=True)
    assert data[:whole] == bytes(range(whole))
    assert len(data) == whole + 4
    assert media.base64("key") == media.base64("key") != media.base64("other")


def test_parts_stand_behind_the_text_of_the_first_user_message(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(GIF)
    images = ImageParts(files=(FilePath(path),))
    prompts = opened(source="code", images=images, audio=AudioParts(seconds=0.1), turns=None)
    system, said = prompts.conversation(5, 0).turns[0].messages
    assert system["content"].startswith("[a1b2c3d4-00000005-00] ")
    assert [part["type"] for part in said["content"]] == ["text", "image_url", "input_audio"]
    assert said["content"][0]["text"].startswith("<prefix>")
    url = said["content"][1]["image_url"]["url"]
    assert url == "data:image/gif;base64," + base64.b64encode(GIF).decode()


def test_later_turns_and_bodies_get_none(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"body": {"stream": true, "messages": [{"role": "user", "content": "hi"}]}}\n')
    images = ImageParts(size="8x8")
    prompts = opened(source="prompts", prompts=("a", "b"), turns=None, images=images)
    assert len(parts(prompts, 0)) == 1
    (turn,) = opened(source="jsonl", file=FilePath(path), images=images).conversation(0, 0).turns
    assert turn.messages == []
    assert "image_url" not in str(turn.body)


def test_files_come_in_turn_and_their_bytes_are_in_the_digest(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a", "b")]
    for path, data in zip(files, (GIF, MP3), strict=True):
        path.write_bytes(data)
    asked = ImageParts(count=Count(1), files=(FilePath(files[0]),))
    prompts = opened(images=asked, audio=AudioParts(files=(FilePath(files[1]),)))
    assert [p["type"] for p in parts(prompts, 0)] == ["image_url", "input_audio"]
    assert parts(prompts, 0)[1]["input_audio"]["format"] == "mp3"
    moved = tmp_path / "moved"
    moved.write_bytes(GIF)
    digest = opened(images=asked).contents_digest
    assert opened(images=ImageParts(files=(FilePath(moved),))).contents_digest == digest
    moved.write_bytes(GIF + b"x")
    assert opened(images=ImageParts(files=(FilePath(moved),))).contents_digest != digest
    moved.write_bytes(b"no image")
    with pytest.raises(DataError, match="is no image and no sound"):
        opened(images=ImageParts(files=(FilePath(moved),)))
