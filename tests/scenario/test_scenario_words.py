"""`[workload]`: what each source takes and refuses."""

from pathlib import Path
from typing import Any

import pytest

from loadgen.scenario.lengths import ConstantTime, Count, LognormalTime, Tokens
from loadgen.scenario.load import load
from loadgen.scenario.words import SharedPrefix, Tool, Workload
from tests.scenario.written import LOAD, TARGET, cases, lines_of, scenario

WORKLOADS = [
    ('source = "poems"', 'workload.source: "poems" is not known here; choose from'),
    ('source = "jsonl"', 'workload.file: is missing for source = "jsonl"'),
    ('source = "jsonl"\nfile = "no.jsonl"', 'no.jsonl" does not exist'),
    ('source = "jsonl"\nfile = "s.toml"\nprompt_tokens = 5', "workload.prompt_tokens: can't be had from"),
    ('file = "s.toml"', 'workload.file: is not read by source = "code"'),
    ("prompt_tokens = true", "workload.prompt_tokens: true is not one of lengths"),
    ("prompt_tokens = []", "workload.prompt_tokens: a list is not one of lengths"),
    ("prompt_tokens = 0", "workload.prompt_tokens: 0 is out of range; write a count from 1 to"),
    ("prompt_tokens = -5", "workload.prompt_tokens: -5 is negative"),
    ("prompt_tokens = nan", "workload.prompt_tokens: nan is not a count"),
    ("prompt_tokens = inf", "workload.prompt_tokens: inf is not a count"),
    ('prompt_tokens = "800M"', 'workload.prompt_tokens: "800M" is out of range'),
    ("prompt_tokens = {}", "workload.prompt_tokens.kind: is missing; choose from constant, uniform"),
    ("prompt_tokens = { kind = [] }", "workload.prompt_tokens.kind: a list is not a kind of lengths"),
    ('prompt_tokens = { kind = "lognromal" }', 'did you mean "lognormal"?'),
    (
        'prompt_tokens = { kind = "uniform", min = 5 }',
        "workload.prompt_tokens.max: is missing; write max = 220",
    ),
    ('prompt_tokens = { kind = "uniform", min = 5, max = 4 }', "workload.prompt_tokens: `min` (5) is above"),
    (
        'prompt_tokens = { kind = "normal", mean = 5, stddev = -1 }',
        "prompt_tokens.stddev: -1 is out of range",
    ),
    (
        'prompt_tokens = { kind = "normal", mean = 5, stddev = inf }',
        "prompt_tokens.stddev: inf is out of range",
    ),
    (
        'prompt_tokens = { kind = "normal", mean = 5, stddev = "1" }',
        'prompt_tokens.stddev: "1" is not a number',
    ),
    ('prompt_tokens = { kind = "lognormal", median = 9, p95 = 5 }', "`p95` (5) is below `median` (9)"),
    ('prompt_tokens = { kind = "empirical", values = [] }', "workload.prompt_tokens.values: is empty"),
    (
        'prompt_tokens = { kind = "empirical", values = [1, "x"] }',
        'workload.prompt_tokens.values[1]: "x" is not',
    ),
    ('prompt_tokens = { kind = "empirical", values = [1], weights = [] }', "0 `weights` for 1 `values`"),
    ('prompt_tokens = { kind = "empirical", values = [1], weights = [0] }', "`weights` sum to nothing"),
    (
        'source = "mooncake"',
        'workload.file: is missing for source = "mooncake"; write file = "mooncake.jsonl"',
    ),
    ('source = "prose"\nfile = "s.toml"', 'workload.file: is not read by source = "prose"'),
    ('source = "prompts"', 'workload.prompts: is missing for source = "prompts"; write prompts'),
    ('source = "prompts"\nprompts = []', "workload.prompts: is empty; write prompts = [..]"),
    ('source = "prompts"\nprompts = ["a", ""]', 'workload.prompts[1]: "" is empty'),
    ('prompts = ["a"]', 'workload.prompts: is not read by source = "code"; write source = "prompts"'),
    ('source = "prompts"\nprompts = ["a"]\nprompt_tokens = 5', "workload.prompt_tokens: can't be had from"),
    ('source = "jsonl"\nfile = "s.toml"\nturns = 2', 'workload.turns: can\'t be had from source = "jsonl"'),
    ("turns = 1001", "workload.turns: are more than any conversation has; write at most 1,000"),
    (
        'turns = { kind = "empirical", values = [1, "2k"] }',
        "workload.turns: are more than any conversation has",
    ),
    (
        'turns = { kind = "uniform", min = 1, max = 5000 }',
        "workload.turns: are more than any conversation has",
    ),
    ('history = "recorded"', "workload.history: needs recorded answers"),
    ('think_time = "2s"', "workload.think_time: is between turns"),
    ("turns = 2\nthink_time = 2", 'workload.think_time: 2 has no unit; write it like "2s"'),
    ("turns = 2\nthink_time = []", 'workload.think_time: a list is not one of times; write "2s"'),
    ("turns = 2\nthink_time = {}", "workload.think_time.kind: is missing; choose from constant, uniform"),
    (
        'turns = 2\nthink_time = { kind = "normal" }',
        'workload.think_time.kind: "normal" is not a kind of times',
    ),
    (
        'turns = 2\nthink_time = { kind = "uniform", min = "2s", max = "1s" }',
        "workload.think_time: `min` is above `max`",
    ),
    (
        'turns = 2\nthink_time = { kind = "exponential" }',
        'workload.think_time.mean: is missing; write mean = "30s"',
    ),
    ("weight = 0", "workload: has weights that sum to nothing"),
    ("weight = -1", "workload.weight: -1 is out of range"),
    ("ignore_eos = true", "workload.ignore_eos: needs the number of tokens to write; write output_tokens"),
    ("chars_per_token = 0", "workload.chars_per_token: is zero"),
    ('tokenizer = "no.json"', 'no.json" does not exist'),
    (
        'tokenizer = "s.toml"\nchars_per_token = 4',
        "workload.chars_per_token: is what text is cut by, and so is",
    ),
    (
        'shared_prefix = { prefixes = "1M", tokens = "3k" }',
        "workload.shared_prefix: has 3,000,000,000 tokens, which are held in memory; write fewer",
    ),
    ("shared_prefix = { prefixes = 0, tokens = 5 }", "workload.shared_prefix.prefixes: 0 is out of range"),
    ("shared_prefix = { prefixes = 2 }", "workload.shared_prefix.tokens: is missing; write tokens = 220"),
    (
        'tools = [{ name = "a", result = "" }, { name = "a", result = "" }]',
        'workload.tools[1].name: "a" is the name of tools[0] too',
    ),
    (
        '[workload.tools]\nname = "a"',
        "workload.tools: is one table, not a list of tables; write [[workload.tools]]",
    ),
    ("salt = 3", "workload.salt: 3 is neither true, false nor a string"),
    ('salt = ""', 'workload.salt: "" is empty'),
]


@pytest.mark.parametrize(("part", "keys", "says"), cases("workload", WORKLOADS))
def test_a_mistake_is_one_line(tmp_path: Path, part: str, keys: str, says: str) -> None:
    (line,) = lines_of(scenario(tmp_path, **{part: keys}))
    assert says in line


GOOD = [
    "turns = 4",
    'turns = { kind = "uniform", min = 1, max = 8 }\nthink_time = { kind = "exponential", mean = "5s" }',
    'source = "prose"\nshared_prefix = { prefixes = 4, tokens = "2k" }\nsystem = "Be brief."',
    'source = "synthetic"\nprompt_tokens = 9\noutput_tokens = 9\nignore_eos = true\nchars_per_token = 4.2',
    'source = "prompts"\nprompts = ["a", "b"]\nturns = 2\non_end = "stop"',
    'source = "jsonl"\nfile = "s.toml"\nhistory = "recorded"\nthink_time = "1s"\nignore_eos = true',
    'source = "sharegpt"\nfile = "s.toml"\nhistory = "recorded"\nthink_time = "1s"',
    'source = "humaneval"\nfile = "s.toml"\noutput_tokens = 64',
    'source = "mooncake"\nfile = "s.toml"\nignore_eos = true\ntoo_long = "clip"',
    'source = "azure"\nfile = "s.toml"\nsalt = false\ntoo_long = "skip"',
    'source = "burstgpt"\nfile = "s.toml"\noutput_tokens = 5',
    'tokenizer = "s.toml"\n[[workload.tools]]\nname = "a"\nresult = "7"\nparameters = { type = "object" }',
]


@pytest.mark.parametrize("keys", GOOD)
def test_what_fits_together_is_read(tmp_path: Path, keys: str) -> None:
    assert len(load(scenario(tmp_path, workload=keys)).workloads) == 1


def test_a_mixture(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    tables = (
        '[[workload]]\nweight = 3\ntask = "a"\n[[workload]]\nsource = "prose"\ntask = "b"\nweight = 0.5\n'
    )
    path.write_text(f'name = "s"\n{TARGET}{LOAD}{tables}')
    assert [(w.task, w.weight) for w in load(path).workloads] == [("a", 3.0), ("b", 0.5)]
    path.write_text(f'name = "s"\n{TARGET}{LOAD}{tables}file = "x"\n')
    assert lines_of(path)[0].startswith("workload[1].file: is not read by")
    path.write_text(f'name = "s"\n{TARGET}{LOAD}{tables.replace("3", "0").replace("0.5", "0")}')
    assert lines_of(path) == [
        "workload: has weights that sum to nothing; give one of them a weight above 0",
    ]


def test_users_think_between_conversations(tmp_path: Path) -> None:
    path = scenario(tmp_path, workload='think_time = "2s"', load_keys=f"{LOAD}users = 5\n")
    (workload,) = load(path).workloads
    assert workload.think_time == ConstantTime(2 * 10**9)  # type: ignore[arg-type]
    think = {"kind": "lognormal", "median": "2s", "p95": "4s"}
    (workload,) = load(path, [("workload.think_time", think)]).workloads
    assert workload.think_time == LognormalTime(2 * 10**9, 4 * 10**9)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keys", "repeats"),
    [
        ({"salt": "a1b2c3d4"}, True),
        ({}, False),
        ({"salt": False}, False),
        ({"salt": "a1b2c3d4", "shared_prefix": SharedPrefix(prefixes=Count(2), tokens=Tokens(64))}, False),
        ({"salt": "a1b2c3d4", "source": "mooncake"}, False),
        ({"salt": "a1b2c3d4", "tools": (Tool(name="look", result=""),)}, False),
    ],
    ids=["given", "a fresh one", "none", "a shared prefix", "a trace with shared blocks", "tools"],
)
def test_whose_prompts_only_an_earlier_run_can_have_warmed(keys: dict[str, Any], repeats: bool) -> None:
    assert Workload(**keys).repeats is repeats
