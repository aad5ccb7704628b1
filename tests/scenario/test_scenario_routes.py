"""`[[routes]]`: what is refused, and in which words; the published rule among it."""

from pathlib import Path

import pytest

from loadgen.scenario.dump import to_toml
from loadgen.scenario.lengths import Constant, Empirical, Lengths, Lognormal, Normal, Tokens, Uniform, bounds
from loadgen.scenario.load import load
from loadgen.scenario.rules_routes import prompt_lengths
from tests.scenario.written import lines_of, only, scenario

SMALL, LARGE = "gpt-5.4-mini", "claude-sonnet-4-6"
TARGETS = f"""
[[targets]]
name = "mini"
model = "{SMALL}"

[[targets]]
name = "sonnet"
model = "{LARGE}"
"""
ARTICLE = """
[[routes]]
risk = "high"
to = "sonnet"

[[routes]]
task = ["classification", "triage", "subagent", "summarize"]
to = "mini"

[[routes]]
prompt_tokens_over = "180k"
to = "mini"

[[routes]]
to = "sonnet"
"""
REMEDY = "; send prompts of that length to a target with a larger one, by a route before this"
LONG = 'prompt_tokens = { kind = "uniform", min = 100, max = "250k" }'
SHORT = 'prompt_tokens = { kind = "uniform", min = 100, max = "4k" }'
OTHERS = f"""
[[workload]]
task = "triage"

[[workload]]
source = "prose"
task = "review"
{LONG}
"""


def written(folder: Path, *, workloads: str, routes: str, targets: str = TARGETS) -> Path:
    path = folder / "s.toml"
    path.write_text(f'name = "s"\n{targets}\n{workloads}\n{routes}\n[load]\nrequests = 4\n', "utf-8")
    return path


def risky(length: str, more: str = "") -> str:
    return f'[[workload]]\nsource = "prose"\ntask = "merge"\nrisk = "high"\n{length}\n{more}\n{OTHERS}'


def test_the_published_rule_sends_a_risky_prompt_beyond_the_context(tmp_path: Path) -> None:
    lines = lines_of(written(tmp_path, workloads=risky(LONG), routes=ARTICLE))
    assert lines == [
        'routes[0]: can send "sonnet" a prompt of 250,000 tokens (workload[0]), beyond its context of 200,000'
        + REMEDY
    ]


def test_it_holds_where_risky_prompts_are_short_or_length_comes_first(tmp_path: Path) -> None:
    assert load(written(tmp_path, workloads=risky(SHORT), routes=ARTICLE)).routes
    by_length_first = '[[routes]]\nprompt_tokens_over = "180k"\nto = "mini"\n'
    parts = [f"[[routes]]\n{part.strip()}\n" for part in ARTICLE.split("[[routes]]") if part.strip()]
    safe = by_length_first + parts[0] + parts[1] + parts[3]
    assert load(written(tmp_path, workloads=risky(LONG), routes=safe)).routes


@pytest.mark.parametrize(
    ("length", "more", "fits"),
    [
        ('prompt_tokens = "200k"', "", True),
        ('prompt_tokens = "200k"', "output_tokens = 1", False),
        ('prompt_tokens = "200k"', 'too_long = "clip"\noutput_tokens = 1', False),
        ('prompt_tokens = "190k"\nshared_prefix = { prefixes = 1, tokens = "11k" }', "", False),
        ('prompt_tokens = "60k"', "turns = 3\noutput_tokens = 100", True),
        ('prompt_tokens = "60k"', "turns = 4\noutput_tokens = 100", False),
        ('prompt_tokens = { kind = "lognormal", median = "20k", p95 = "60k" }', "", False),
        ('prompt_tokens = { kind = "lognormal", median = "20k", p95 = "60k", max = "190k" }', "", True),
    ],
)
def test_answers_history_and_tails_are_part_of_what_has_to_fit(
    length: str, more: str, fits: bool, tmp_path: Path
) -> None:
    path = written(tmp_path, workloads=risky(length, more), routes=ARTICLE)
    if fits:
        assert load(path).routes
    else:
        assert "beyond its context of 200,000" in lines_of(path)[0]


def test_a_targets_own_context_stands_before_the_catalogues(tmp_path: Path) -> None:
    small, large = (TARGETS + f'context = "{n}"\n' for n in ("3k", "1M"))
    message = lines_of(written(tmp_path, workloads=risky(SHORT), routes=ARTICLE, targets=small))[0]
    assert "beyond its context of 3,000" in message
    assert load(written(tmp_path, workloads=risky(LONG), routes=ARTICLE, targets=large)).routes


LAST = '[[routes]]\nto = "sonnet"\n'
MISTAKES = [
    (
        "nowhere",
        '[[routes]]\nto = "minni"',
        'routes[0].to: "minni" is the name of no target; did you mean "mini"?',
    ),
    ("without-to", "[[routes]]\nrisk = 'high'", 'routes[0].to: is missing; write to = "..."'),
    (
        "shadowed",
        f'{LAST}[[routes]]\ntask = "triage"\nto = "mini"',
        "routes[1]: takes no request: the routes before it take them all; put it before those, or leave",
    ),
    (
        "shadowed-by-two",
        (
            '[[routes]]\nprompt_tokens_over = 900\nto = "mini"\n'
            f'[[routes]]\nprompt_tokens_up_to = 900\nto = "mini"\n{LAST}'
        ),
        "routes[2]: takes no request: the routes before it take them all",
    ),
    (
        "task-of-none",
        f'[[routes]]\ntask = "triagge"\nto = "mini"\n{LAST}',
        'routes[0]: takes no request: no workload has task triagge; did you mean "triage"?',
    ),
    (
        "risk-of-none",
        f'[[routes]]\nrisk = ["low", "middle"]\nto = "mini"\n{LAST}',
        "routes[0]: takes no request: no workload has risk low or middle; choose from high",
    ),
    (
        "both-of-none",
        f'[[routes]]\nrisk = "high"\ntask = "triage"\nto = "mini"\n{LAST}',
        "routes[0]: takes no request: no workload has both its task and its risk",
    ),
    (
        "length-of-none",
        f'[[routes]]\ntask = "triage"\nprompt_tokens_over = "4k"\nto = "mini"\n{LAST}',
        "routes[0]: takes no request: its prompts have 1 to 4,000 tokens; change the bound, or leave it out",
    ),
    (
        "bounds-swapped",
        f'[[routes]]\nprompt_tokens_over = 200\nprompt_tokens_up_to = 100\nto = "mini"\n{LAST}',
        "routes[0]: takes no request: no length is over the one and up to the other; swap the two",
    ),
    (
        "a-task-left-over",
        '[[routes]]\ntask = ["merge", "review"]\nto = "mini"',
        'routes: take no requests of workload[1] (task = "triage"); add a last route without conditions',
    ),
    (
        "a-length-left-over",
        '[[routes]]\nprompt_tokens_up_to = "300k"\nto = "mini"',
        'routes: take no requests of workload[0] (task = "merge", risk = "high") with more than',
    ),
    (
        "unknown-key",
        f'[[routes]]\nprompt_over = 3\nto = "mini"\n{LAST}',
        "routes[0].prompt_over: unknown key",
    ),
    ("no-task", f'[[routes]]\ntask = []\nto = "mini"\n{LAST}', "routes[0].task: is empty"),
    ("a-number-for-a-task", f'[[routes]]\ntask = 3\nto = "mini"\n{LAST}', "routes[0].task: 3 is not a list"),
]


@pytest.mark.parametrize(("routes", "says"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_a_mistake_is_named_with_a_remedy(routes: str, says: str, tmp_path: Path) -> None:
    lines = lines_of(written(tmp_path, workloads=risky(SHORT), routes=routes))
    assert any(line.startswith(says) for line in lines), lines


def test_no_target_may_be_called_routed(tmp_path: Path) -> None:
    targets = TARGETS.replace('"mini"', '"routed"')
    routes = '[[routes]]\nto = "sonnet"'
    lines = lines_of(written(tmp_path, workloads=risky(SHORT), routes=routes, targets=targets))
    assert lines[0].startswith(
        'targets[0].name: "routed" is what reports call the mix that [[routes]] make; give'
    )


def test_routes_lead_to_endpoints_that_take_the_same_words(tmp_path: Path) -> None:
    other = {kind: TARGETS + f'endpoint = "{kind}"\n' for kind in ("responses", "embeddings")}
    assert load(
        written(tmp_path, workloads=risky(SHORT), routes=ARTICLE, targets=other["responses"])
    ).endpoints == ("chat", "responses", "chat")
    lines = lines_of(written(tmp_path, workloads=risky(SHORT), routes=ARTICLE, targets=other["embeddings"]))
    says = 'routes: mix endpoint = "chat" and "embeddings", which take different words'
    assert any(line.startswith(says) for line in lines)


@pytest.mark.parametrize("routes", ["", '[[routes]]\nto = "mini"\n'], ids=["no-routes", "none-there"])
def test_a_target_that_is_never_asked_is_a_mistake(routes: str, tmp_path: Path) -> None:
    path = written(tmp_path, workloads=risky(SHORT), routes=routes, targets=TARGETS + "alone = false\n")
    says = "targets[1].alone: is false, and no route leads there: the target would be asked nothing"
    assert lines_of(path)[0].startswith(says)


def test_tasks_and_lengths_of_a_file_are_not_known(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt": "a", "task": "triage"}\n')
    workloads = '[[workload]]\nsource = "jsonl"\nfile = "p.jsonl"\n'
    one = '[[routes]]\ntask = "triage"\nprompt_tokens_over = "300k"\nto = "sonnet"\n'
    assert load(written(tmp_path, workloads=workloads, routes=one + LAST)).routes
    lines = lines_of(written(tmp_path, workloads=workloads, routes=one))
    says = "routes: take no requests of workload[0] (tasks that its file names); add a last route without"
    assert lines[0].startswith(says)


def test_who_has_the_load_and_what_is_written_down(tmp_path: Path) -> None:
    path = written(tmp_path, workloads=risky(SHORT), routes=ARTICLE, targets=TARGETS + "alone = false\n")
    found = load(path)
    assert found.series == ("mini", "routed")
    assert [t.name for t in found.alone] == ["mini"]
    assert [t.name for t in found.routed] == ["mini", "sonnet"]
    assert found.routes[0].risk == ("high",)  # a string is one of them
    (tmp_path / "again.toml").write_text(to_toml(found), "utf-8")
    assert load(tmp_path / "again.toml") == found


@pytest.mark.parametrize(
    ("lengths", "low", "high"),
    [
        (Constant(Tokens(220)), 220, 220),
        (Uniform(Tokens(16), Tokens(96)), 16, 96),
        (Normal(Tokens(400), 80.0), 1, 780),  # 400 + 4.75 x 80
        (Normal(Tokens(400), 80.0, max=Tokens(500)), 1, 500),
        (Lognormal(Tokens(100), Tokens(100)), 1, 100),
        (Lognormal(Tokens(100), Tokens(200)), 1, 741),  # 100 x 2 ^ (4.753 / 1.645)
        (Empirical((Tokens(5), Tokens(9), Tokens(7)), (1.0, 0.0, 1.0)), 5, 7),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, int) else str(value),
)
def test_the_bounds_of_lengths(lengths: Lengths, low: int, high: int) -> None:
    assert bounds(lengths) == (low, high)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("", (1, 4000)),
        ("prompt_tokens = 100\nturns = 3\noutput_tokens = 10", (100, 320)),
        ("prompt_tokens = 100\nturns = 3", None),
        ('source = "prompts"\nprompts = ["a"]', None),
    ],
    ids=["default", "turns", "answers-of-any-length", "own-words"],
)
def test_the_lengths_of_a_workloads_prompts(
    keys: str, expected: tuple[int, int] | None, tmp_path: Path
) -> None:
    assert prompt_lengths(only(load(scenario(tmp_path, workload=keys)))) == expected
