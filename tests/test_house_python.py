"""The example of docs/python.md runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow  # it takes the time that its run takes
def test_the_example_runs(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "python.md").read_text("utf-8")
    found = re.search(r"<!-- python -->\n```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    (tmp_path / "scenarios").symlink_to(ROOT / "scenarios")
    program = [sys.executable, "-W", "error", "-c", found[1]]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "gemini-3.5-flash: " in done.stdout
    assert "ttft_ms p50 " in done.stdout
