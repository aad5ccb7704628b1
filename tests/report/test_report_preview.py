"""What `loadgen check` says of every way to load."""

import json
from pathlib import Path

import pytest

from loadgen.plan.plan import build
from loadgen.report.preview import preview
from loadgen.scenario.load import load as read
from loadgen.workload.source import decide_salt, open_prompts

HEAD = """
name = "s"
[[targets]]
name = "a"
model = "m"
[[targets]]
name = "b"
model = "m"
"""
TWO = """
[[workload]]
source = "prompts"
prompts = ["Say one.", "Say two."]
task = "short"
output_tokens = 10
turns = 3
[[workload]]
source = "synthetic"
prompt_tokens = 100
output_tokens = 10
weight = 3
"""


EARLY = """
concurrency = 4
duration = "10s"
stop_at_errors = { share = "20%" }
until = [{ metric = "ttft", percentile = 99, relative = "5%" }]
"""


def said(tmp_path: Path, load: str, workload: str = "", head: str = HEAD) -> str:
    path = tmp_path / "s.toml"
    path.write_text(f"{head}[load]\n{load}\n{workload}")
    scenario = read(path)
    prompts = open_prompts([decide_salt(w) for w in scenario.workloads], scenario.seed)
    return preview(scenario, build(scenario, prompts), prompts)


@pytest.mark.parametrize(
    ("load", "told"),
    [
        (
            'users = 5\nduration = "30s"',
            ["5 users for each target, each one conversation after the other", "up to 10 at a time in all"],
        ),
        ('one_at_a_time = true\nduration = "30s"', ["one request at a time, the targets in turn"]),
        (
            'rate = "50/s"\nwarmup = "2s"\nduration = "10s"\narrivals = "constant"',
            [
                "50 sessions a second for each target (open loop, constant",
                "500 planned for the window, 100 before",
            ],
        ),
        (
            'rate = "50/s"\nduration = "1m"\narrivals = "gamma"\nburstiness = 0.5',
            ["gamma arrivals of burstiness 0.5", "as many as the answers need"],
        ),
        (
            'stages = [{ time = "10s", from = "0/s", to = "20/s" }, { time = "5s", from = "20/s" }]',
            [
                "2 stages of rates for each target",
                "stages       0/s to 20/s for 10s\n             20/s for 5s\n",
                "ends after the last stage",
                "at most 45s",
            ],
        ),
        (
            'burst = { size = 50, every = "10s" }\nduration = "30s"\nmax_in_flight = 20\nover_cap = "drop"',
            ["50 sessions at once for each target, again every 10s", "20 requests under way for each target"],
        ),
        (
            'levels = ["10/s", "40/s"]\nrate = "10/s"\nduration = "10s"',
            ["10 to 40 sessions a second", "levels       10/s, 40/s, one after the other"],
        ),
        (
            EARLY,
            ["or once ttft p99 is known within 5 %", "or once 20.0% of 10s failed"],
        ),
    ],
    ids=["users", "one at a time", "rate", "gamma", "stages", "burst", "levels", "ends"],
)
def test_every_way_to_load_is_told_and_drawn(tmp_path: Path, load: str, told: list[str]) -> None:
    text = said(tmp_path, load)
    for part in told:
        assert part in text
    assert "━ window" in text
    assert max(map(len, text.splitlines())) <= 110


def test_tasks_and_turns_of_a_mixture(tmp_path: Path) -> None:
    text = said(tmp_path, 'rate = "100/s"\narrivals = "constant"\nduration = "10s"', TWO)
    assert "prompts, synthetic; of 1,000 sessions looked at" in text
    tasks = next(line.split() for line in text.splitlines() if line.startswith("  tasks"))
    assert tasks[1::2] == ["completion", "short"]
    assert abs(int(tasks[2].strip("%,")) - 75) < 5
    assert "turns            1 to 3" in text


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("{}", "5 to 40, median 5 tokens; 2 of 5 have no cap"),
        ("{ max_tokens = 9 }", "5 to 40, median 5 tokens"),
    ],
    ids=["as in the file", "all by the target"],
)
def test_answers_without_a_cap_are_counted(tmp_path: Path, body: str, told: str) -> None:
    lines = [{"prompt": "a", "max_tokens": n} for n in (5, 5, 40)] + [{"prompt": "b"}] * 2
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, lines)))
    words = '[workload]\nsource = "jsonl"\nfile = "p.jsonl"\non_end = "stop"'
    head = f'name = "s"\n[[targets]]\nname = "a"\nmodel = "m"\nextra_body = {body}\n'
    text = said(tmp_path, "requests = 5", words, head)
    assert f"  answer at most   {told}\n" in text
    assert "of answers at most" not in text  # in all: nothing bounds two of them


def test_variables_that_are_not_set_are_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SET": "sk-1", "BLANK": " \n"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NOT_SET", raising=False)
    headers = 'headers = { x = { env = "BLANK" }, y = { env = "SET" } }\nquery = { z = { env = "NOT_SET" } }'
    text = said(tmp_path, "requests = 5", head=f'{HEAD}api_key_env = "NOT_SET"\n{headers}\n')
    told = [line.strip() for line in text.splitlines() if "environment" in line]
    assert told == [
        f"the environment variable {name} is not set: a run would stop there; export {name}=..."
        for name in ("NOT_SET", "BLANK")
    ]


@pytest.mark.parametrize(
    ("load", "told"),
    [
        (
            'rate = "4/s"\narrivals = "constant"\nduration = "16s"',
            [
                "ends after 16s or the last prompt, whichever is first",
                "up to 24 at a time in all",
                "12 planned for the window for each target: then the prompts are used up",
            ],
        ),
        (
            'rate = "4/s"\narrivals = "constant"\nwarmup = "1s"\nduration = "15s"',
            ["8 planned for the window, 4 before for each target: then the prompts are used up"],
        ),
        (
            'rate = "1/s"\narrivals = "constant"\nduration = "4s"',
            ["ends after 4s\n", "4 planned for the window for each target\n"],
        ),
        (
            'rate = "1/s"\nrequests = 12',
            ["12 sessions for each target\n", "12 planned for the window for each target\n"],
        ),
        ("requests = 40", ["sessions     at most 24 in all: then the prompts are used up"]),
        ("requests = 4", ["sessions     at most 8 in the window, warm-up not counted"]),
    ],
    ids=["too few", "too few, with a warm-up", "enough", "just enough", "closed, too few", "closed, enough"],
)
def test_no_more_is_planned_than_there_are_prompts(tmp_path: Path, load: str, told: list[str]) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt": "a"}\n' * 12)
    text = said(tmp_path, load, '[workload]\nsource = "jsonl"\nfile = "p.jsonl"\non_end = "stop"')
    for part in told:
        assert part in text
    if "16s" in load or "15s" in load:  # a column for each arrival
        assert f"\n{'0':>12} {'█' * 12}\n" in text


@pytest.mark.parametrize(
    ("targets", "words", "told"),
    [
        ([""], 'source = "synthetic"', "21 prompts to t0 that calibrate lengths (none with --no-probe)"),
        (
            ["http://127.0.0.1:9/v1"] * 2,
            'source = "synthetic"',
            "2 probes and 21 prompts to t0 that calibrate lengths (none with --no-probe)",
        ),
        (
            ["", "http://127.0.0.1:9/v1"],
            'source = "prompts"\nprompts = ["a"]',
            "1 probe (none with --no-probe)",
        ),
        ([""], 'source = "prompts"\nprompts = ["a"]', None),
    ],
    ids=["calibration", "both", "a probe", "nothing"],
)
def test_what_is_sent_before_the_load_is_told(
    tmp_path: Path, targets: list[str], words: str, told: str | None
) -> None:
    where = [f'base_url = "{url}"' if url else "" for url in targets]
    head = 'name = "s"\n' + "".join(
        f'[[targets]]\nname = "t{i}"\nmodel = "m"\n{at}\n' for i, at in enumerate(where)
    )
    lines = said(tmp_path, "requests = 5", f"[workload]\n{words}", head).splitlines()
    assert [line[13:] for line in lines if line.startswith("before ")] == ([] if told is None else [told])


def test_numbers_are_for_people(tmp_path: Path) -> None:
    """One is one, and bounds are rounded up."""
    times = ["2023-11-16 18:15:00.1234567", "2023-11-16 18:15:11.1357466"]
    rows = "".join(f"{time},100,10\n" for time in times)
    (tmp_path / "t.csv").write_text(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}")
    text = said(tmp_path, "trace = {}", '[workload]\nsource = "azure"\nfile = "t.csv"')
    assert "takes        at most 53s once the load has begun" in text
    words = '[workload]\nsource = "prompts"\nprompts = ["a"]\non_end = "stop"'
    text = said(tmp_path, 'rate = "1/s"\nduration = "4s"\nrequests = 1', words)
    assert "load         1 session a second for each target (open" in text
    assert "after 4s or 1 session for each target" in text
    assert "of 1 session looked at" in text
    for load, some in {
        "users = 1": "1 user for each",
        "concurrency = 1": "1 session at any time",
        "concurrency = 1\nlevels = [1, 2]": "1 to 2 sessions at any time",
        "concurrency = 2": "2 sessions at any time",
    }.items():
        assert f"load         {some}" in said(tmp_path, f'{load}\nduration = "4s"', words)


@pytest.mark.parametrize(
    ("load", "told"),
    [
        (
            'rate = "3/s"\nramp = "20s"\nduration = "5s"',
            "the rate is never reached: the ramp is 20s, the run is 5s",
        ),
        (
            'rate = "3/s"\narrivals = "constant"\nramp = "20s"\nrequests = 8',
            "the rate is never reached: the ramp is 20s, the run is 10s",
        ),
        ('rate = "3/s"\nramp = "5s"\nwarmup = "2s"\nduration = "5s"', None),
        (
            'levels = ["3/s", "4/s"]\nramp = "20s"\nduration = "15s"',
            "the rate is never reached: the ramp is 20s, a level is 15s",
        ),
        (
            'users = 3\nramp = "20s"\nduration = "5s"',
            "never do all sessions run at a time: the ramp is 20s, the run is 5s",
        ),
        (
            'users = 3\nramp = "4s"\nwarmup = "2s"\nduration = "5s"',
            "the window opens before all sessions have begun (ramp is longer than warmup)",
        ),
        ('concurrency = 3\nramp = "20s"\nrequests = 9', None),
    ],
    ids=["rate", "rate, a count", "rate, in time", "levels", "users", "users, in the window", "a count"],
)
def test_a_ramp_that_is_never_over_is_noted(tmp_path: Path, load: str, told: str | None) -> None:
    lines = said(tmp_path, load).splitlines()
    assert [line[13:] for line in lines if line.startswith("note ")] == ([] if told is None else [told])


def test_many_stages_are_cut_short(tmp_path: Path) -> None:
    stages = ", ".join('{ time = "1s", from = "5/s", arrivals = "constant" }' for _ in range(12))
    text = said(tmp_path, f"stages = [{stages}]")
    assert text.count("5/s for 1s, constant arrivals\n") == 10
    assert "\n             and 2 more\n" in text


OWN = "every prompt begins with a mark of its own"
POOL = "a mark for each shared text: a cache may serve it after its first time"
MADE = '[[workload]]\nsource = "synthetic"\nprompt_tokens = 20\n'
POOLED = f"{MADE}shared_prefix = {{ prefixes = 2, tokens = 30 }}\n"
JSONL = '[[workload]]\nsource = "jsonl"\nfile = "p.jsonl"\n'


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (MADE, [OWN]),
        (f"{POOLED}salt = false", ["none: a cache may serve"]),
        (POOLED, [POOL]),
        (
            '[workload]\nsource = "mooncake"\nfile = "m.jsonl"',
            ["a mark for each time through the file: a cache may serve what its rows share"],
        ),
        (f"{POOLED}{JSONL}weight = 0", [f"synthetic: {POOL}", f"jsonl: {OWN}"]),
        (
            '[workload]\nsource = "jsonl"\nfile = "b.jsonl"\non_end = "stop"',
            ["1 of 1 are a whole `body`, sent as it is: a cache may serve"],
        ),
        (JSONL, [OWN, "1 of 3 are a whole `body`, sent as it is: a cache may serve"]),
    ],
    ids=["own", "none", "shared texts", "a trace's blocks", "mixture", "bodies alone", "bodies"],
)
def test_a_mark_is_told_as_it_is(tmp_path: Path, words: str, told: list[str]) -> None:
    body = {"stream": True, "messages": [{"role": "user", "content": "c"}]}
    records = [{"prompt": "a"}, {"prompt": "b"}, {"body": body}]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, records)))
    (tmp_path / "b.jsonl").write_text(json.dumps(records[2]))
    row = {"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [1, 2]}
    (tmp_path / "m.jsonl").write_text(json.dumps(row))
    lines = said(
        tmp_path, "requests = 3", f"{words}\non_end = 'stop'" if words == JSONL else words
    ).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("  salt "))
    assert [line[19:] for line in lines[first : lines.index("", first)]] == told


PAUSES = {
    '"2s"': "2s between turns",
    '{ kind = "uniform", min = "1s", max = "3s" }': "1s to 3s between turns",
    '{ kind = "exponential", mean = "1s" }': "exponential, mean 1s, between turns",
    '{kind = "lognormal", median = "5s", p95 = "9s", max = "1m"}': (
        "median 5s, p95 9s, at most 1m, between turns"
    ),
}


@pytest.mark.parametrize(("times", "told"), PAUSES.items())
def test_think_times_are_told(tmp_path: Path, times: str, told: str) -> None:
    words = f"{MADE}turns = 2\nthink_time = {times}"
    assert f"  think time       {told}\n" in said(tmp_path, "requests = 5", words)
    text = said(tmp_path, 'users = 5\nduration = "9s"', f'{words}\n[[workload]]\nsource = "prose"')
    assert f"  think time       synthetic: {told} and conversations\n{'':<19}prose: none\n" in text
    assert "think time" not in said(tmp_path, "requests = 5", MADE)


def test_objectives_are_told(tmp_path: Path) -> None:
    text = said(tmp_path, "requests = 5\n[slo]\nttft.p99 = '500ms'\ngoodput = '95%'")
    assert "objectives   ttft.p99 <= 500ms\n             goodput >= 95%\n" in text
