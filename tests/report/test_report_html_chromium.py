"""report.html in a real Chromium: it draws, loads nothing, and takes no name for markup."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import CHROMIUM, Page, chromium

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
PLOTS = 8  # the run has everything that can be drawn
COMPLAINTS = {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"}
DIALOG = "Page.javascriptDialogOpening"


@pytest.fixture(scope="module")
def page(evil_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        page.show(1280, 900)
        page.open(evil_run / "report.html")
        yield page


def loaded(page: Page) -> list[str]:
    asked = [
        params["request"]["url"] for method, params in page.seen if method == "Network.requestWillBeSent"
    ]
    return [url for url in asked if not url.startswith("data:")]


def complaints(page: Page) -> list[Any]:
    return [params for method, params in page.seen if method in COMPLAINTS]


def test_it_draws_every_plot_without_a_complaint_or_a_request(page: Page, evil_run: Path) -> None:
    assert page.ask("document.documentElement.dataset.drawn") == str(PLOTS)
    drawn = "[...document.querySelectorAll('.plot')].filter(p => p.querySelector('.trace, .points, .bars'))"
    assert page.ask(f"{drawn}.length") == PLOTS
    assert loaded(page) == [(evil_run / "report.html").as_uri()]
    assert complaints(page) == []


def test_names_are_text_and_nothing_of_them_ran(page: Page, evil_run: Path) -> None:
    assert page.ask("document.querySelectorAll('img, b, i, u, a[href^=http]').length") == 0
    legends = page.ask("[...document.querySelectorAll('.legendtext')].map(e => e.textContent)")
    names = page.ask("[...document.querySelectorAll('#figures ~ div thead th')].map(e => e.textContent)")[2:]
    assert len(names) == 2
    assert set(names) <= set(legends)
    assert page.ask("document.querySelectorAll('svg a').length") == 0
    assert DIALOG not in {method for method, _ in page.seen}


def test_ticks_of_a_logarithmic_axis_are_the_values(page: Page) -> None:
    plot = "document.querySelector('[data-plot^=distribution]')"
    page.ask(f"Plotly.relayout({plot}, {{'xaxis.range': [Math.log10(12), Math.log10(150)]}}).then(() => 0)")
    ticks = page.ask(f"[...{plot}.querySelectorAll('.xtick')].map(e => e.textContent)")
    page.ask(f"Plotly.relayout({plot}, {{'xaxis.autorange': true}}).then(() => 0)")
    assert ticks == ["20", "50", "100"]


def test_hover_reads_values(page: Page) -> None:
    plot = "document.querySelector('[data-plot=spectrum-ttft]')"
    page.ask(f"Plotly.Fx.hover({plot}, [{{curveNumber: 0, pointNumber: 9}}])")
    told = page.ask(f"{plot}.querySelector('.hovertext').textContent")
    assert "ms" in told
    assert any(digit in told for digit in "123456789")


def test_every_plot_has_words_and_a_table_and_every_table_a_caption(page: Page) -> None:
    parts = "[...document.querySelectorAll('figure')].map(f => f.parentElement)"
    assert page.ask(f"{parts}.every(s => s.querySelector('[role=img]').ariaLabel.length > 20)")
    assert page.ask(f"{parts}.every(s => s.querySelector('details tbody tr td').textContent)")
    assert page.ask(f"{parts}.every(s => s.querySelector('h2').id === s.getAttribute('aria-labelledby'))")
    assert page.ask("[...document.querySelectorAll('table')].every(t => t.caption.textContent)")
    assert page.ask("[...document.querySelectorAll('[id]')].map(e => e.id).length") == page.ask(
        "new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size"
    )
    assert page.ask("[...document.querySelectorAll('nav a')].every(a => document.querySelector(a.hash))")


@pytest.mark.parametrize("width", [390, 1280], ids=["phone", "desktop"])
def test_the_page_is_no_wider_than_the_screen(page: Page, width: int) -> None:
    page.show(width, 844)
    page.ask("new Promise(done => setTimeout(done, 300))")  # plotly waits a moment before it follows
    assert page.ask("document.documentElement.scrollWidth") <= width
    widest = "Math.max(...[...document.querySelectorAll('.plot .main-svg')].map(s => s.clientWidth))"
    assert page.ask(widest) <= width


INK = "getComputedStyle(document.querySelector('.xtick text')).fill"


def test_plots_follow_the_scheme_and_print_is_light(page: Page) -> None:
    page.show(1280, 900, scheme="light")
    light = page.ask("getComputedStyle(document.body).color")
    assert page.ask(INK) == light
    page.show(1280, 900, scheme="dark")
    dark = page.ask("getComputedStyle(document.body).color")
    assert dark != light
    assert page.ask(INK) == dark
    page.ask("dispatchEvent(new Event('beforeprint'))")
    assert page.ask(INK) == light
    page.ask("dispatchEvent(new Event('afterprint'))")
    assert page.ask(INK) == dark
    page.show(1280, 900)


def test_the_keyboard_reaches_the_answer_first(page: Page) -> None:
    page.ask("document.body.focus()")
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert page.ask("document.activeElement.hash") == "#main"
    assert page.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_nothing_could_be_loaded_and_no_script_be_added(page: Page) -> None:
    """Last: the page complains of it, which shows that complaints are seen."""
    got = "fetch('http://127.0.0.1:9/').then(() => 'loaded', () => 'refused')"
    assert page.ask(got) == "refused"
    page.ask(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
    )
    assert page.ask("window.ran") is None
    assert len(complaints(page)) >= 2
    assert all("Content Security Policy" in str(params) for params in complaints(page))
