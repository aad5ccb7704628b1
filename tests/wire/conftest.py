"""Tests of this room that are coroutines run on uvloop, as the product does, and on plain asyncio."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from loadgen.wire import stopwatch
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
