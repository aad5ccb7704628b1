"""A compressed answer, although none was asked for: every byte keeps the stamp of the read that gave it."""

import zlib
from collections.abc import Callable
from typing import Final

import numpy as np

from loadgen.wire.timeline import Int64s

Inflate = Callable[[bytes], bytes]
_ANY_HEADER: Final = 47  # gzip's or zlib's, the widest window


def decompressor(encoding: bytes) -> tuple[Inflate | None, tuple[str, str] | None]:
    """Return what decompresses a Content-Encoding, or the outcome and error of one that is not known."""
    if encoding in (b"", b"identity"):
        return None, None
    if encoding in (b"gzip", b"x-gzip", b"deflate"):
        return zlib.decompressobj(wbits=_ANY_HEADER).decompress, None
    what = f"Content-Encoding {encoding.decode('latin-1')!r} although identity was asked for"
    return None, ("bad_stream", what)


def inflate(decompress: Inflate, data: bytes, ends: Int64s) -> tuple[bytes, Int64s, tuple[str, str] | None]:
    """Decompress read by read; return the bytes, where each read's end, and the outcome and error if broken.

    ends: shape (reads,), offset in `data` at which each read ends.
    """
    out: list[bytes] = []
    start = 0
    broken = None
    try:
        for end in ends.tolist():
            out.append(decompress(data[start:end]))
            start = end
    except zlib.error as error:
        broken = ("bad_stream", f"broken compressed body: {error}")
        out += [b""] * (len(ends) - len(out))
    return b"".join(out), np.cumsum([len(part) for part in out], dtype=np.int64), broken
