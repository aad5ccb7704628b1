"""Tests of this room that are coroutines run on uvloop, as the product does, and on plain asyncio."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from loadgen.wire import stopwatch
from loadgen.wire.sse import SseDecoder
from tests.wire.scripted import Clock


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Take the place of the stopwatch's clock."""
    clock = Clock()
    monkeypatch.setattr(stopwatch, "now_ns", clock)
    return clock


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The events that are parsed in full, not by the short cut."""
    found: list[bytes] = []
    whole_event = SseDecoder._event

    def count(self: SseDecoder, raw: bytes, end: int) -> None:
        found.append(raw)
        whole_event(self, raw, end)

    monkeypatch.setattr(SseDecoder, "_event", count)
    return found
