"""report.html as text: what it says, in which order, and that nothing from outside becomes markup."""

import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadgen.report.compare import answer
from loadgen.report.files import report_again, write_reports
from loadgen.report.html import to_html
from loadgen.results.model import Comparison, Report, Verdict

MOST_BYTES = 6_000_000


class Read(HTMLParser):
    """tags, and attributes that could load or run something, in the order of the page; scripts and words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.scripts: list[str] = []
        self.policy = self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), name
            if name in ("src", "href", "srcset", "action", "data"):
                self.links.append(value or "")
        if tag == "meta" and ("http-equiv", "Content-Security-Policy") in attrs:
            self.policy = dict(attrs)["content"] or ""

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script" and data.strip():
            self.scripts.append(data)
        else:
            self.words += data


@pytest.fixture(scope="module")
def page(evil_run: Path) -> Read:
    return Read((evil_run / "report.html").read_text("utf-8"))


def test_it_is_one_small_file_that_refers_to_nothing(evil_run: Path, page: Read) -> None:
    assert (evil_run / "report.html").stat().st_size < MOST_BYTES
    assert all(link.startswith("#") or link == "data:," for link in page.links)
    assert page.policy.startswith("default-src 'none'; ")


def test_only_our_scripts_may_run_and_they_are_allowed(page: Read) -> None:
    data, *scripts = page.scripts
    assert len(scripts) == 2
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in page.policy
    assert "script-src 'sha256-" in page.policy
    assert json.loads(data)["requests"]["data"]


def test_what_comes_from_outside_is_text(page: Read, evil_run: Path) -> None:
    assert not {"img", "b", "i", "u", "iframe", "object"} & set(page.tags)
    report = json.loads((evil_run / "report.json").read_bytes())
    for name in [t["name"] for t in report["targets"]]:
        assert page.words.count(name) > 5, "table, answer, sentences"
    (error,) = report["targets"][1]["errors"]
    assert "<img" in error
    assert error in page.words
    assert page.words.count("In all phases of the run, warm-up included.") == 1
    assert report["run"]["description"] in page.words
    assert '<i>task</i>"\n' in page.words, "the scenario as it ran"


def test_the_order_is_answer_figures_plots_errors_scenario_environment(evil_run: Path) -> None:
    headings = re.findall(r"<h[12].*?>", (evil_run / "report.html").read_text("utf-8"))
    ids = [re.sub(r'.*id="(.*)">', r"\1", heading) for heading in headings]
    assert ids == [
        *("<h1>", "comparison", "figures"),
        *("spectrum-ttft", "spectrum-e2e", "distribution-ttft", "distribution-chunk_gap", "over-time"),
        *("requests", "prompt-length", "distribution-tokens_per_chunk"),
        *("errors", "scenario", "environment"),
    ]


@pytest.mark.parametrize(
    ("file", "lost"),
    [
        ("histograms.hlog", "spectrum-ttft"),
        ("samples.jsonl", "requests"),
        ("scenario.toml", None),
        ("run.json", None),
    ],
)
def test_a_file_that_is_not_there_is_said_and_costs_only_its_plots(
    evil_run: Path, tmp_path: Path, file: str, lost: str | None
) -> None:
    folder = Path(shutil.copytree(evil_run, tmp_path / "run"))
    (folder / file).unlink()
    run = report_again(folder)
    page = Read((folder / "report.html").read_text("utf-8"))
    assert f"NOT READ {file}" in " ".join(page.words.split())
    drawn = json.loads(page.scripts[0])
    assert lost not in drawn
    assert len(drawn) >= 3
    assert str(tmp_path) not in page.words
    assert run.report.run.id in page.words


def test_a_damaged_histogram_costs_no_other_report(evil_run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(evil_run, tmp_path / "run"))
    (folder / "histograms.hlog").write_text("Tag=a/ttft_ms,0,1,1,HISTx\nrest\n")
    report_again(folder)
    assert "is not a line of an interval log" in (folder / "report.html").read_text("utf-8")
    assert {"report.md", "report.csv"} <= {f.name for f in folder.iterdir()}


def test_the_html_is_written_last(invent: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.report.html.get_plotlyjs", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_reports(tmp_path, invent.report(invent.target()), ("html", "markdown", "csv"))
    assert {f.name for f in tmp_path.iterdir()} == {"report.json", "report.md", "report.csv"}


@pytest.mark.parametrize("state", ["valid", "suspect", "invalid"])
def test_the_verdict_and_simulated_come_before_everything(invent: Any, tmp_path: Path, state: str) -> None:
    report = invent.report(invent.target(simulated=True), verdict=Verdict(state, ("the reason <why>",)))
    words = Read(to_html(report, tmp_path)).words.split("To the answer")[1].split()
    assert words[2:4] == [state.upper(), "SIMULATED"]
    assert " ".join(words).index("the reason <why>") < " ".join(words).index("requests ok")


# the answer


def row(verdict: str, percentile: str = "p50", **changes: Any) -> Comparison:
    made = Comparison("ttft_ms", percentile, "a", "b", 200.0, 180.0, verdict)
    return msgspec.structs.replace(made, **changes)


def two(invent: Any, *rows: Comparison, **changes: Any) -> Report:
    slow = invent.target("slow")
    fast = invent.target("fast", metrics=slow.metrics | {"ttft_ms": invent.dist(100)})
    report: Report = invent.report(slow, fast, **changes)
    return msgspec.structs.replace(report, comparison=rows)


def test_without_a_comparison_the_figures_stand_side_by_side_the_fastest_first(invent: Any) -> None:
    first, second = answer(two(invent))
    assert first == "Time to first token, p50 / p99: fast 100 / 400 ms; slow 200 / 800 ms."
    assert second == "Whether they differ was not tested; the table has 95 % intervals."
    [told] = answer(two(invent, row("not bounded")))
    why = "without a verdict, as p50 takes 20 independent requests a side"
    assert told == f"b against a: TTFT p50 180 against 200 ms, {why}."


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [row("better", ratio=0.9, ratio_ci95=(0.85, 0.95), difference=-20.0, ci95=(-30.0, -10.0))],
            "b is faster than a: TTFT p50 180 against 200 ms, -10 % [-15, -5.0].",
        ),
        (
            [row("no difference shown", could_have_shown=0.07), row("not bounded", "p99")],
            "no difference of TTFT shown between a and b (could have shown 7%): TTFT p50 200 and 180 ms.",
        ),
        (
            [row("worse", metric="e2e_ms"), row("worse", other=300.0), row("worse", "p99")],
            "b is slower than a: TTFT p50 300 against 200 ms; TTFT p99 worse; e2e worse.",
        ),
    ],
    ids=["better", "not shown, not bounded", "slower, its p99 too"],
)
def test_a_comparison_is_the_answer(invent: Any, rows: list[Comparison], said: str) -> None:
    assert answer(two(invent, *rows)) == [said]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([f"t{n}" for n in range(6)], "Time to first token, p50 / p99: t0 100 / 400 ms to t5 105 / 420 ms."),
        (["alone"], "Time to first token, p50 / p99: alone 100 / 400 ms."),
    ],
    ids=["many", "one"],
)
def test_many_targets_are_told_by_the_ends(invent: Any, names: list[str], said: str) -> None:
    made = [invent.target(name) for name in names]
    targets = [
        msgspec.structs.replace(t, metrics=t.metrics | {"ttft_ms": invent.dist(100 + i)})
        for i, t in enumerate(made)
    ]
    found = answer(invent.report(*targets))
    assert found[0] == said
    assert len(found) == min(2, len(names))


def test_answers_that_come_whole_are_told_by_their_end(invent: Any) -> None:
    metrics = invent.target().metrics | {"ttft_ms": invent.dist(1, count=0, p50=None, p99=None)}
    assert answer(invent.report(invent.target("images", metrics=metrics))) == [
        "Time to the whole answer, p50 / p99: images 1,000 / 4,000 ms."
    ]


def test_no_success_is_no_answer(invent: Any) -> None:
    nothing = dict.fromkeys(invent.target().metrics, invent.dist(1, count=0, p50=None, p99=None))
    assert "there are no figures" in answer(invent.report(invent.target(metrics=nothing)))[0]


def test_verdicts_are_a_table_for_each_pair(invent: Any, tmp_path: Path) -> None:
    rows = (row("better"), row("worse", "p99"), row("no difference shown", other_target="c<"))
    text = to_html(two(invent, *rows), tmp_path)
    page = Read(text)
    assert "c< against a" in page.words
    assert text.count('<td class="better">better</td>') == 1
    assert text.count('<td class="worse">worse</td>') == 1
    assert "<td>no difference shown</td>" in text
