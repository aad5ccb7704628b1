"""The recorded traces, against what their files say when read by hand; they are not ours to commit."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadgen.errors import DataError
from loadgen.scenario.lengths import FilePath
from loadgen.scenario.words import Workload
from loadgen.workload.azure import open_azure
from loadgen.workload.mooncake import MooncakePrompts
from loadgen.workload.rows import TracePrompts
from loadgen.workload.ruler import Estimate
from loadgen.workload.text import TextMaker

TRACES = Path(__file__).parents[2].parent / "shared" / "traces"
AZURE = ("azure_code_2023.csv", "azure_conv_2023.csv")
MOONCAKE = ("mooncake_conversation.jsonl", "mooncake_synthetic.jsonl")
ROWS = {AZURE[0]: 8_819, AZURE[1]: 19_366, MOONCAKE[0]: 12_031, MOONCAKE[1]: 3_993}
REPEATED = {MOONCAKE[0]: 0.366, MOONCAKE[1]: 0.640}


def path_of(name: str) -> Path:
    path = TRACES / name
    if not path.exists():
        pytest.skip(f"needs the trace {name} in {TRACES.parent.name}/{TRACES.name} beside the repository")
    return path


def raw_rows(name: str) -> Iterator[tuple[int, int, int]]:
    """Read arrival in ns since the first row, prompt and output tokens, in other ways than the readers do."""
    text = path_of(name).read_text("utf-8")
    if name in MOONCAKE:
        for line in text.splitlines():
            row = json.loads(line)
            yield row["timestamp"] * 1_000_000, row["input_length"], row["output_length"]
        return
    first: datetime | None = None
    for line in text.splitlines()[1:]:
        time, prompt, output = line.split(",")
        at = datetime.fromisoformat(time[:26])  # without its seventh digit, which is always 0
        assert time[26:] == "0"
        first = first or at
        since = at - first
        yield (
            (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000,
            int(prompt),
            int(output),
        )


def open_trace(name: str, text: TextMaker | None = None, **keys: Any) -> TracePrompts | MooncakePrompts:
    source = "mooncake" if name in MOONCAKE else "azure"
    context = keys.pop("context", None)
    workload = Workload(source=source, file=FilePath(path_of(name)), **keys)  # type: ignore[arg-type]
    open_it = MooncakePrompts if name in MOONCAKE else open_azure
    return open_it(workload, 7, context, text or TextMaker(7))


@pytest.mark.parametrize("name", ROWS)
def test_the_trace_is_read_as_it_is(name: str) -> None:
    raw = np.array(list(raw_rows(name)))
    prompts = open_trace(name, on_end="stop")
    assert prompts.count == len(raw) == ROWS[name]
    assert prompts.arrivals_ns is not None
    assert (prompts.arrivals_ns[0], prompts.arrivals_ns[-1]) == (0, raw[-1, 0])
    assert np.array_equal(prompts.arrivals_ns, raw[:, 0])
    trace = prompts._trace
    assert (trace.prompt_tokens.sum(), trace.output_tokens.sum()) == (raw[:, 1].sum(), raw[:, 2].sum())
    for row in (0, 1, len(raw) // 2, len(raw) - 1):
        (turn,) = prompts.conversation(row).turns
        assert (turn.asked_prompt_tokens, turn.asked_output_tokens) == (raw[row, 1], raw[row, 2])
    assert prompts.set_aside == {}


@pytest.mark.parametrize("name", MOONCAKE)
def test_rows_beyond_a_context(name: str) -> None:
    raw = np.array(list(raw_rows(name)))
    beyond = int((raw[:, 1] + raw[:, 2] > 32_768).sum())
    assert beyond > 100
    skipped = open_trace(name, too_long="skip", context=32_768, on_end="stop")
    assert skipped.set_aside == {"skipped": beyond}
    assert skipped.count == len(raw) - beyond
    clipped = open_trace(name, too_long="clip", context=32_768, on_end="stop")
    assert clipped.set_aside == {"clipped": beyond}
    assert int((clipped._trace.prompt_tokens + clipped._trace.output_tokens).max()) == 32_768
    with pytest.raises(DataError, match=r"tokens are beyond the context of 32,768"):
        open_trace(name, context=32_768)


def blocks_of(text: str, block_chars: int) -> list[str]:
    """Cut a prompt into its whole blocks; a space stands between them."""
    step = block_chars + 1
    return [text[at : at + block_chars] for at in range(0, len(text) - block_chars + 1, step)]


@pytest.mark.parametrize("name", MOONCAKE)
def test_the_share_of_repeated_blocks_shows_in_the_texts(name: str) -> None:
    # one character a token, and words that are made at once: all texts of the file are 140 to 240 MB
    text = TextMaker(7, Estimate(1.0), lambda chars, key: f"#{key}".ljust(chars, "x")[:chars])
    prompts = open_trace(name, text, on_end="stop")
    seen: set[str] = set()
    blocks = 0
    for session in range(prompts.count or 0):
        (turn,) = prompts.conversation(session).turns
        content = turn.messages[0]["content"]
        found = [block.rstrip("x") for block in blocks_of(content, 512)]
        # the rest is the block that the prompt's length cuts; its hash counts as well
        tail = content[len(found) * 513 :].rstrip("x")
        found += [tail] if tail else []
        seen.update(found)
        blocks += len(found)
    assert 1 - len(seen) / blocks == pytest.approx(REPEATED[name], abs=0.001)


def test_shared_beginnings_are_those_of_the_file() -> None:
    name = MOONCAKE[0]
    ids = [json.loads(line)["hash_ids"] for line in path_of(name).read_text("utf-8").splitlines()[:150]]
    prompts = open_trace(name)
    texts = [prompts.conversation(n).turns[0].messages[0]["content"] for n in range(150)]
    block_chars = len(TextMaker(7).text(512, 0))
    for row in range(1, 150):
        whole = [blocks_of(texts[n], block_chars) for n in (0, row)]
        same_text = sum(a == b for a, b in zip(*whole, strict=False))
        same_hash = sum(a == b for a, b in zip(ids[0], ids[row], strict=False))
        assert same_text == min(same_hash, len(whole[0]), len(whole[1]))


@pytest.mark.parametrize("name", ROWS)
def test_texts_are_as_long_as_the_row_says(name: str) -> None:
    prompts = open_trace(name, TextMaker(7, Estimate(5.0)))
    for session in range(0, ROWS[name], ROWS[name] // 40):
        (turn,) = prompts.conversation(session).turns
        asked = turn.asked_prompt_tokens
        assert asked is not None
        assert len(turn.messages[0]["content"]) / 5 == pytest.approx(asked, rel=0.001, abs=1)
