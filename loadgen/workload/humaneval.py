"""HumanEval's problems: the heads of 164 Python functions, to be completed.

Source: https://github.com/openai/human-eval (JSON Lines, as it is or with gzip).
"""

import gzip
import hashlib
import zlib
from typing import Any, BinaryIO, Final, cast

from loadgen.errors import DataError
from loadgen.scenario.words import Workload
from loadgen.workload.lines import KINDS, Mistakes, file_of, numbered, opened, read_json, row_of
from loadgen.workload.prompt import Conversation, Int64s, Turn
from loadgen.workload.text import TextMaker

INSTRUCTION: Final = "Complete this Python function. Write only the code that follows, no fences."
_TASK: Final = "humaneval"
_GZIP: Final = b"\x1f\x8b"


class HumanEvalPrompts:
    """The problems of a file, in its order, and again from the first one on; they are kept in memory.

    task: "humaneval", where the scenario names no other than its default. on_end = "stop": they end with the
    last (count is their number). contents_digest is of the file's lines, unpacked.

    Raises:
        DataError: the file can't be read, is empty or has broken lines; names up to 10 of them.
        ScenarioError: no file is named.
    """

    def __init__(
        self, workload: Workload, _seed: int, _context: int | None = None, _text: TextMaker | None = None
    ) -> None:
        path = file_of(workload)
        with opened(path, "HumanEval file") as file:
            packed = file.read(2) == _GZIP
            file.seek(0)
            lines = cast("BinaryIO", gzip.GzipFile(fileobj=file)) if packed else file
            try:
                self._prompts, self.contents_digest = _read(path, lines)
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise DataError(path, f"is not a whole gzip file ({error})", "download it again") from None
        self._task = _TASK if workload.task == Workload().task else workload.task
        self.arrivals_ns: Int64s | None = None
        self.set_aside: dict[str, int] = {}
        self.count: int | None = len(self._prompts) if workload.on_end == "stop" else None

    def conversation(self, session: int) -> Conversation:
        """Return a session of one turn.

        Raises:
            IndexError: it is past the end of a file that stops.
        """
        prompt = self._prompts[row_of(session, len(self._prompts), self.count)]
        messages = [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": prompt}]
        return Conversation(task=self._task, turns=(Turn(messages, fill=(prompt, "")),))


def _read(path: str, lines: BinaryIO) -> tuple[list[str], str]:
    digest = hashlib.sha256(INSTRUCTION.encode())
    mistakes = Mistakes(path)
    prompts: list[str] = []
    for number, _, line in numbered(lines, digest):
        if not line:
            continue
        try:
            prompts.append(_prompt(read_json(line)))
        except DataError as error:
            mistakes.add(number, error.problems[0].what, error.problems[0].remedy)
    mistakes.settle()
    if not prompts:
        raise DataError(path, "holds no problem", "name HumanEval.jsonl or HumanEval.jsonl.gz")
    return prompts, digest.hexdigest()


def _prompt(record: Any) -> str:
    if not isinstance(record, dict):
        raise DataError("", f"is {KINDS[type(record)]}, not an object", "name HumanEval's own file")
    prompt = record.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        keys = ", ".join(f"`{key}`" for key in list(record)[:5])
        raise DataError("", "has no text `prompt`", f"it has {keys}" if keys else "name HumanEval's own file")
    return prompt
