"""A LiteLLM proxy and what stands behind it, as processes of a test's own. Nothing leaves 127.0.0.1."""

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError

from tests.program import PROGRAM, environment
from tests.real_server.llama import free_port

COMMAND = os.environ.get("LOADGEN_LITELLM", "")
KEY = "sk-of-the-gateway"
UPSTREAM_KEY = "sk-of-the-upstream"


@contextmanager
def simulator(log: Path) -> Iterator[str]:
    """Serve the simulator, which asks for UPSTREAM_KEY and logs what it is asked; yields the base URL."""
    command = [*PROGRAM, "simulate", "--port", "0", "--log", str(log), "--api-key-env", "UPSTREAM_KEY"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(UPSTREAM_KEY=UPSTREAM_KEY))
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["base_url"]
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def entry(name: str, base_url: str, model: str, key: str = UPSTREAM_KEY) -> dict[str, Any]:
    """One model: clients ask the gateway for `name`, and it asks for `model` (LiteLLM's "provider/name")."""
    return {"model_name": name, "litellm_params": {"model": model, "api_base": base_url, "api_key": key}}


@contextmanager
def proxy(models: list[dict[str, Any]], folder: Path) -> Iterator[str]:
    """Serve until the block ends; yields the base URL. Its output is in `folder`/litellm.log."""
    port = free_port()
    config = {
        "model_list": models,
        "litellm_settings": {"telemetry": False, "num_retries": 0},
        # a deployment that fails stays: each test wants its own answer, not a cooldown's
        "router_settings": {
            "num_retries": 0,
            "disable_cooldowns": True,
            "optional_pre_call_checks": ["enforce_model_rate_limits"],
        },
        "general_settings": {"master_key": KEY},
    }
    path = folder / "config.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    command = [
        COMMAND,
        "--config",
        str(path),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--telemetry",
        "False",
    ]
    log = folder / "litellm.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=_offline(folder), stdout=output, stderr=output, cwd=folder)
        try:
            _wait(f"http://127.0.0.1:{port}/health/liveliness", process, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def _offline(home: Path) -> Mapping[str, str]:
    """What it would fetch at the start it takes from its package; all else meets a closed door."""
    closed = "http://127.0.0.1:9"
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
        "LITELLM_OFFLINE_MODE": "true",
        "DISABLE_ADMIN_UI": "True",
        "HTTP_PROXY": closed,
        "HTTPS_PROXY": closed,
        "NO_PROXY": "127.0.0.1",
    }


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, f"the proxy ended:\n{log.read_text('utf-8', 'replace')[-2000:]}"
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"the proxy is not ready:\n{log.read_text('utf-8', 'replace')[-2000:]}")
