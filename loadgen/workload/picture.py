"""Pictures made on the spot: diagrams of boxes, lines and something like text, as PNG.

Format: Portable Network Graphics (Third Edition), W3C 2025, sections 5 (chunks) and 11.2 (IHDR, PLTE, IDAT).
"""

import struct
import zlib
from typing import Final

import numpy as np
import numpy.typing as npt

from loadgen.workload.media import Media

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOURS: Final = 16
_PAPER, _INK = 0, 1
_CELLS: Final = 4  # boxes across and down, at most
_SHADED: Final = 3  # every third box has a shade that packs badly, as photographs do
_FAST: Final = 1  # of zlib's levels

Pixels = npt.NDArray[np.uint8]


def picture(width: int, height: int, seed: int, number: int) -> Media:
    """Return a diagram, a function of all its arguments; its last row of pixels is each request's own."""
    rng = np.random.default_rng((seed, number))
    palette = rng.integers(96, 256, (_COLOURS, 3), dtype=np.uint8)
    palette[_PAPER], palette[_INK] = 255, 32
    rows = np.zeros((height, width + 1), dtype=np.uint8)  # each begins with its filter: none
    _draw(rows[:, 1:], rng)
    above = rows[:-1].tobytes()
    packer = zlib.compressobj(_FAST, strategy=zlib.Z_RLE)
    # the pixels end here for zlib, but for one last block that is not packed: the row put behind them
    packed = packer.compress(above) + packer.flush(zlib.Z_FULL_FLUSH)
    check = zlib.adler32(above)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)  # 8 bits a pixel, of a palette
    head = _chunk(b"IHDR", header) + _chunk(b"PLTE", palette.tobytes()) + _chunk(b"IDAT", packed)

    def last_row(own: bytes) -> bytes:
        row = b"\0" + bytes(byte % _COLOURS for byte in own)
        block = struct.pack("<BHH", 1, len(row), len(row) ^ 0xFFFF) + row
        return _chunk(b"IDAT", block + struct.pack(">I", zlib.adler32(row, check))) + _chunk(b"IEND", b"")

    return Media("png", _SIGNATURE + head, width, last_row)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _draw(paper: Pixels, rng: np.random.Generator) -> None:
    """Draw boxes with writing in them, each joined to the one before by a line with a corner."""
    height, width = paper.shape
    high, wide = max(1, height // _CELLS), max(1, width // _CELLS)
    last = None
    for number, cell in enumerate(rng.permutation(_CELLS * _CELLS)[: _CELLS * _CELLS * 3 // 4].tolist()):
        top, left = cell // _CELLS * high + high // 6, cell % _CELLS * wide + wide // 8
        box = paper[top : top + max(1, high * 2 // 3), left : left + max(1, wide * 3 // 4)]
        y, x = min(height - 1, top + high // 3), min(width - 1, left + wide // 3)
        if last is not None:
            paper[last[0] : last[0] + 2, min(x, last[1]) : max(x, last[1])] = _INK
            paper[min(y, last[0]) : max(y, last[0]), x : x + 2] = _INK
        last = y, x
        box[:] = _INK
        inside = box[2:-2, 2:-2]
        inside[:] = rng.integers(2, _COLOURS)
        if number % _SHADED == 0:
            inside[:] = rng.integers(2, _COLOURS, inside.shape, dtype=np.uint8)
        for line in range(8, inside.shape[0] - 12, 16):  # something like words: narrow strokes, and gaps
            words = inside[line : line + 8, 8 : 8 + int(rng.integers(1, max(2, inside.shape[1] - 16)))]
            words[rng.random(words.shape) < 0.3] = _INK
