"""Code-completion prompts, cut from real source code that is always at hand: the standard library.

It is public code, so nothing of the user's machine is sent anywhere. A prompt is what an editor sends
for a completion at the cursor: the text before it, the text after it, and what to do.
"""

import hashlib
import os
import re
import sysconfig
from pathlib import Path
from typing import Final

from loadgen.errors import DataError
from loadgen.workload.draw import by_session
from loadgen.workload.prompt import Message
from loadgen.workload.ring import Ring

# An estimate. Measured on 1,000-character cuts of CPython 3.11's library: cl100k 4.38, o200k 4.35,
# Qwen 4.33, Tekken 4.15 characters a token; 9 in 10 cuts lie between 3.3 and 5.5.
CHARS_PER_TOKEN: Final = 4.3

INSTRUCTION: Final = (
    "You complete code in an editor. Write the code missing between <prefix> and <suffix>: "
    "only that code, no fences."
)
_FRAME: Final = "<prefix></prefix><suffix></suffix>"
_SHORTEST_CHARS: Final = 16  # of prefix and suffix together, however short a prompt is asked for

# tests, code for other programs, and (the last two) tables and prose
_SKIPPED_FOLDERS: Final = frozenset(
    [
        "__pycache__",
        "site-packages",
        "dist-packages",
        "test",
        "tests",
        "idle_test",
        "lib2to3",
        "idlelib",
        "encodings",
        "pydoc_data",
    ]
)
_BUILD_FACTS: Final = "_sysconfigdata"  # holds this machine's paths
_EVERY: Final = 3  # a third of the files is 700,000 tokens of code, and opens in a third of the time
_TINY_BYTES: Final = 2000

_LINE_START: Final = re.compile(r"\n +(?=\S)")  # the end of a line's indentation
_IN_STATEMENT: Final = re.compile(r"\w(?:\.|\(| = |, )(?=\w)")  # where a completion pops up
_REACH_CHARS: Final = 250  # how far from its place a cursor is looked for; else it stays there
_MOST_HOLE_LINES: Final = 4

_PLACE, _HOLE = 2, 3  # streams of by_session


class Code:
    """Code-completion prompts; every one is a function of the seed and its key.

    The same bytes come back on the same release of the interpreter (and of numpy).

    Raises:
        DataError: this interpreter has no source files (a bundled or zipped one).
    """

    chars_per_token = CHARS_PER_TOKEN
    fixed = INSTRUCTION + _FRAME

    def __init__(self, seed: int) -> None:
        text, self.digest = _read_library(Path(sysconfig.get_path("stdlib")))
        first = by_session(lambda rng, n: rng.integers(0, len(text), n), seed, _PLACE)(0)
        self._ring = Ring(text, first)
        self._hole = by_session(lambda rng, n: rng.integers(0, 2 * _MOST_HOLE_LINES, n), seed, _HOLE)
        self.piece = self._ring.piece

    def cut(self, chars: int, key: int) -> tuple[str, str]:
        """Return so many characters of code, before and after the cursor 3 to 1."""
        size = max(_SHORTEST_CHARS, chars)
        cursor, resume = self._hole_at(self._ring.place(key), self._hole(key))
        return self._ring.before(cursor, size * 3 // 4), self._ring.after(resume, size - size * 3 // 4)

    def messages(self, cut: tuple[str, str], *, first: bool) -> list[Message]:
        """Return the messages of a turn; the first of a conversation brings the instruction."""
        before, after = cut
        said = {"role": "user", "content": f"<prefix>{before}</prefix><suffix>{after}</suffix>"}
        return [{"role": "system", "content": INSTRUCTION}, said] if first else [said]

    def _hole_at(self, place: int, hole: int) -> tuple[int, int]:
        """Return the cursor next to a place, and where the text goes on after what is left to write.

        Half of the cursors stand inside a statement, the rest of its line missing; half at the start
        of a line, 1 to 4 lines missing. Without a hole there would be nothing to complete.
        """
        text = self._ring.text
        lines = hole - _MOST_HOLE_LINES + 1
        found = (_LINE_START if lines > 0 else _IN_STATEMENT).search(text, place, place + _REACH_CHARS)
        cursor = found.end() if found else place
        resume = cursor - 1
        for _ in range(max(1, lines)):
            resume = text.find("\n", resume + 1)
            if resume < 0:
                return cursor, len(text)
        return cursor, resume


def _read_library(root: Path) -> tuple[str, str]:
    """Return the text of the chosen files, each under a comment with its name, and its SHA-256 in hex."""
    names = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in _SKIPPED_FOLDERS]
        inside = Path(folder).relative_to(root)
        names += [
            (inside / name).as_posix()
            for name in files
            if name.endswith(".py") and not name.startswith(_BUILD_FACTS)
        ]
    parts = []
    for name in sorted(names)[::_EVERY]:
        content = (root / name).read_bytes()
        # plain ASCII only: a byte is a character then, and the estimate of characters a token holds
        if len(content) >= _TINY_BYTES and content.isascii():
            parts.append(f"# {name}\n{content.decode('ascii')}")
    if not parts:
        raise DataError(
            str(root), "this Python comes without its library's source", 'use source = "jsonl" with a file'
        )
    text = "".join(parts)
    return text, hashlib.sha256((INSTRUCTION + _FRAME + text).encode("ascii")).hexdigest()
