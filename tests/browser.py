"""A headless Chromium by the DevTools protocol (on file descriptors 3 and 4), to look at pages with."""

import json
import os
import select
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)
_ARGUMENTS = (
    *("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
    *("--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--mute-audio"),
)


_PATIENCE_S = 60


class Page:
    """One tab. seen: the events of the protocol so far, as (method, params)."""

    def __init__(self, commands: int, answers: int) -> None:
        self.seen: list[tuple[str, Any]] = []
        self._to = commands
        self._from = answers
        self._left = b""
        self._number = 0
        self._session: dict[str, str] = {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        found = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": found["sessionId"]}
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """Give one command and wait for its answer."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": params} | self._session
        os.write(self._to, json.dumps(command).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == self._number:
                assert "error" not in message, message["error"]
                return message["result"]

    def open(self, path: Path) -> None:
        """Load a file and wait until its scripts have run."""
        self.seen.clear()
        self.call("Page.navigate", url=path.as_uri())
        while not any(method == "Page.loadEventFired" for method, _ in self.seen):
            self._next()

    def ask(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page; a promise is awaited."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def show(self, width: int, height: int, *, scheme: str = "light", scale: float = 1) -> None:
        """Have a screen of this size, in CSS pixels, and a colour scheme; below 500 it is a phone."""
        phone = width < 500
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=phone,
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path: Path, clip: dict[str, float] | None = None) -> None:
        """Write a PNG of the page, or of a part of it: x, y, width, height, scale."""
        clips = {"clip": clip, "captureBeyondViewport": True} if clip else {}
        path.write_bytes(b64decode(self.call("Page.captureScreenshot", **clips)["data"]))

    def _next(self) -> Any:
        while (end := self._left.find(b"\0")) < 0:
            assert select.select([self._from], [], [], _PATIENCE_S)[0], "Chromium does not answer"
            read = os.read(self._from, 1 << 16)
            assert read, "Chromium ended"
            self._left += read
        message = json.loads(self._left[:end])
        self._left = self._left[end + 1 :]
        if "method" in message:
            self.seen.append((message["method"], message["params"]))
        return message


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """Start Chromium with an empty profile in this folder; it ends with the block."""
    assert CHROMIUM is not None
    command_read, command_write = os.pipe()
    answer_read, answer_write = os.pipe()

    def as_3_and_4() -> None:
        # both may be in the other's way: first out of it
        low = os.dup(command_read), os.dup(answer_write)
        os.dup2(low[0], 3)
        os.dup2(low[1], 4)

    process = subprocess.Popen(
        [CHROMIUM, *_ARGUMENTS, f"--user-data-dir={profile}"],
        close_fds=False,
        preexec_fn=as_3_and_4,  # noqa: PLW1509  # nothing else runs in the tests
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(command_read)
    os.close(answer_write)
    try:
        yield Page(command_write, answer_read)
    finally:
        os.close(command_write)
        os.close(answer_read)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
