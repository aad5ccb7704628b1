"""llama.cpp's server as a process of a test's own."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PYTHON = os.environ.get("LOADGEN_LLAMA_PYTHON", "")
needs_llama = pytest.mark.skipif(not PYTHON, reason="LOADGEN_LLAMA_PYTHON names no Python with llama.cpp")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def llama() -> Iterator[str]:
    """Serve until the block ends; yields the base URL."""
    port = free_port()
    process = subprocess.Popen(
        [PYTHON, str(Path(__file__).parent / "llama_server.py"), str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        while line := process.stdout.readline():
            if line.strip() == b"READY":
                break
        else:
            pytest.fail(f"the server ended with {process.wait(10)}")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
        assert process.stdin is not None
        process.stdin.close()
