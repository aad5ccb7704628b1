"""Code prompts: functions of seed and session alone, of the asked length, and never the same twice."""

import hashlib
import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from loadgen.errors import DataError
from loadgen.scenario.lengths import (
    DEFAULT_PROMPT_TOKENS,
    Constant,
    Lengths,
    Lognormal,
    Tokens,
    Uniform,
)
from loadgen.scenario.words import Workload
from loadgen.workload import code
from loadgen.workload.code import CHARS_PER_TOKEN
from loadgen.workload.prompt import Prompts, Turn
from loadgen.workload.source import open_prompts

HEADER = re.compile(r"^# \S+\.py$", re.MULTILINE)  # where one file ends and the next begins


def open_code(lengths: Lengths | None = None, seed: int = 7) -> Prompts:
    return open_prompts([Workload(source="code", salt=False, prompt_tokens=lengths)], seed)


def said(prompts: Prompts, session: int) -> Turn:
    (turn,) = prompts.conversation(session, 0).turns
    return turn


def parts(prompt: Turn) -> tuple[str, str]:
    """Return prefix and suffix."""
    text = prompt.messages[1]["content"]
    before, after = text.removeprefix("<prefix>").removesuffix("</suffix>").split("</prefix><suffix>")
    return before, after


def chars(prompt: Turn) -> int:
    return sum(len(message["content"]) for message in prompt.messages)


@pytest.fixture(scope="module")
def opened() -> Prompts:
    return open_code()


IN_ANOTHER_PROCESS = """
import hashlib, json, sys
from loadgen.scenario.words import Workload
from loadgen.workload.source import open_prompts
prompts = open_prompts([Workload(salt=False)], 7)
said = json.dumps([prompts.conversation(n, 0).turns[0].messages for n in range(300)])
print(prompts.contents_digest, hashlib.sha256(said.encode()).hexdigest())
"""


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_another_process_says_the_same_bytes(opened: Prompts, hash_seed: str) -> None:
    env = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS]
    there = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.split()
    here = json.dumps([said(opened, n).messages for n in range(300)])
    assert there == [opened.contents_digest, hashlib.sha256(here.encode()).hexdigest()]


def test_any_order_gives_the_same_prompt(opened: Prompts) -> None:
    sessions = list(range(0, 3000, 7))
    there = {n: said(opened, n) for n in sessions}
    assert {n: said(opened, n) for n in reversed(sessions)} == there
    assert said(open_code(), 2996) == there[2996]


def test_another_seed_gives_other_prompts(opened: Prompts) -> None:
    other = open_code(seed=8)
    same = sum(said(opened, n).messages == said(other, n).messages for n in range(500))
    assert same == 0
    assert other.contents_digest == opened.contents_digest  # the seed has its own place in a plan's digest


def test_prompts_are_distinct(opened: Prompts) -> None:
    made = [said(opened, n) for n in range(2000)]
    cuts = [parts(prompt) for prompt in made if (prompt.asked_prompt_tokens or 0) >= 50]
    assert len(cuts) > 1900
    assert len(set(cuts)) == len(cuts)  # shorter ones are a few characters: `def __init__(` comes twice
    fixed = open_code(Constant(Tokens(200)))  # also when only the place can differ
    assert len({parts(said(fixed, n))[0] for n in range(2000)}) == 2000


LENGTHS: list[Lengths] = [
    DEFAULT_PROMPT_TOKENS,
    Uniform(Tokens(100), Tokens(1000)),
    Constant(Tokens(16_000)),
    Lognormal(median=Tokens(2000), p95=Tokens(9000), min=Tokens(64)),
]


@pytest.mark.parametrize("lengths", LENGTHS, ids=[repr(lengths) for lengths in LENGTHS])
def test_prompts_have_the_asked_length(lengths: Lengths) -> None:
    prompts = open_code(lengths)
    made = [said(prompts, n) for n in range(1000)]
    for prompt in made:
        assert prompt.asked_prompt_tokens is not None
        asked_chars = prompt.asked_prompt_tokens * CHARS_PER_TOKEN
        if prompt.asked_prompt_tokens >= 50:  # below that the instruction alone is longer
            assert chars(prompt) == pytest.approx(asked_chars, abs=1)
        else:
            assert chars(prompt) < 250


def test_default_lengths_are_an_editors(opened: Prompts) -> None:
    estimates = [chars(said(opened, n)) / CHARS_PER_TOKEN for n in range(3000)]
    assert np.median(estimates) == pytest.approx(220, rel=0.08)
    assert np.percentile(estimates, 95) == pytest.approx(900, rel=0.12)
    assert max(estimates) <= 4000.5


def test_a_prompt_longer_than_the_library_is_still_cut_to_length() -> None:
    prompts = open_code(Constant(Tokens(3_000_000)))
    assert chars(said(prompts, 0)) == pytest.approx(3_000_000 * CHARS_PER_TOKEN, abs=1)


def test_prefix_is_three_times_the_suffix(opened: Prompts) -> None:
    for n in range(300):
        before, after = parts(said(opened, n))
        assert abs(len(before) - 3 * len(after)) <= 3


def test_the_cursor_stands_where_an_editor_asks(opened: Prompts) -> None:
    cuts = [parts(said(opened, n)) for n in range(1000)]
    indented = sum(before.rsplit("\n", 1)[-1].strip() == "" for before, _ in cuts)
    in_statement = sum(before.endswith((".", "(", " = ", ", ")) for before, _ in cuts)
    assert indented + in_statement > 930  # the rest: no such place near enough
    assert min(indented, in_statement) > 420
    # something is missing at the cursor: what follows begins with the end of a line
    assert sum(after.startswith("\n") for _, after in cuts) == 1000


def test_every_prompt_is_code_of_the_library(opened: Prompts) -> None:
    root = Path(sysconfig.get_path("stdlib"))
    files = [
        path.read_bytes() for path in root.rglob("*.py") if not {"test", "site-packages"} & {*path.parts}
    ]
    library = b"\0".join(files)
    of_one_file = [
        part.encode() for n in range(60) for part in parts(said(opened, n)) if not HEADER.search(part)
    ]
    assert len(of_one_file) > 90
    assert all(part in library for part in of_one_file)
    assert all(
        str(root) not in part for n in range(1000) for part in parts(said(opened, n))
    )  # nothing of this machine is sent


def test_what_is_said_and_asked(opened: Prompts) -> None:
    fill = open_prompts([Workload(source="code", salt=False, task="fill")], 7)
    prompt = said(fill, 3)
    assert [message["role"] for message in prompt.messages] == ["system", "user"]
    assert fill.conversation(3, 0).task == "fill"
    assert prompt.asked_output_tokens is None
    assert opened.count is None


def test_a_caller_may_change_what_it_got(opened: Prompts) -> None:
    before = said(opened, 5)
    said(opened, 5).messages[0]["content"] = "changed"
    said(opened, 5).messages.append({})
    assert said(opened, 5) == before


WITHOUT_READING = """
import sys
from loadgen.scenario.words import Workload
from loadgen.workload.source import open_prompts
prompts = open_prompts([Workload(source="SOURCE", salt=False)], 7)
prompts.conversation(0, 0)
def deny(event, args):
    if event in ("open", "import", "os.listdir", "os.scandir"):
        raise RuntimeError(f"{event} {args}")
sys.addaudithook(deny)
for n in range(0, 100_000, 100):
    prompts.conversation(n, 0)
"""


@pytest.mark.parametrize("source", ["code", "prose", "synthetic"])
def test_asking_reads_no_file_and_imports_nothing(source: str) -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_READING.replace("SOURCE", source)], check=True)


def write_library(root: Path, names: Sequence[str], content: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


CODE = "def f(a, b):\n    return a.b(c, d)\n" * 100


def test_tests_and_installed_packages_are_left_out(tmp_path: Path) -> None:
    left_out = [
        "test/a.py",
        "json/tests/a.py",
        "site-packages/a.py",
        "lib2to3/a.py",
        "idlelib/a.py",
        "_sysconfigdata__linux_.py",
        "notes.txt",
    ]
    write_library(tmp_path, left_out, CODE)
    with pytest.raises(DataError):
        code._read_library(tmp_path)
    write_library(tmp_path, ["a.py"], CODE)
    assert code._read_library(tmp_path)[0] == "# a.py\n" + CODE


def test_tiny_and_not_ascii_files_are_left_out(tmp_path: Path) -> None:
    write_library(tmp_path, ["a.py", "b.py", "c.py", "d.py", "e.py", "f.py", "g.py"], CODE)
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "d.py").write_bytes(CODE.encode() + b"# \xff\n")
    text, digest = code._read_library(tmp_path)
    assert text == "# g.py\n" + CODE
    (tmp_path / "g.py").write_text(CODE + "#")
    assert code._read_library(tmp_path)[1] != digest  # contents
    (tmp_path / "g.py").write_text(CODE)
    (tmp_path / "g.py").rename(tmp_path / "h.py")
    assert code._read_library(tmp_path)[1] != digest  # names


def test_an_interpreter_without_sources_is_a_users_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"without its library's source.*jsonl") as raised:
        code._read_library(tmp_path)
    assert raised.value.exit_code == 2
