import errno
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from loadgen.errors import OutputError
from loadgen.results.folder import RunFolder, write_file

STARTED = datetime(2026, 11, 21, 3, 15, 0, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    made = RunFolder.create(tmp_path, "coding", STARTED)
    yield made
    made.close()


def names(path: Path) -> set[str]:
    return {p.name for p in path.iterdir()}


def wait_for_error(folder: RunFolder) -> OSError:
    deadline = time.monotonic() + 20
    while folder.error is None and time.monotonic() < deadline:
        time.sleep(0.005)
    assert folder.error is not None
    return folder.error


@pytest.mark.parametrize(
    "started",
    [STARTED, STARTED.astimezone(timezone(timedelta(hours=9)))],
    ids=["UTC", "Tokyo"],
)
def test_folder_is_named_after_scenario_and_utc_time(tmp_path: Path, started: datetime) -> None:
    folder = RunFolder.create(tmp_path / "new" / "deeper", "coding", started)
    folder.close()
    assert re.fullmatch(r"20261121T031500Z-[0-9a-f]{6}", folder.id)
    assert folder.path == tmp_path / "new" / "deeper" / "coding" / folder.id
    assert names(folder.path) == {"samples.jsonl", "histograms.hlog"}


def test_latest_is_a_relative_link_to_the_newest(tmp_path: Path) -> None:
    latest = tmp_path / "coding" / "latest"
    for _ in range(2):
        folder = RunFolder.create(tmp_path, "coding", STARTED)
        folder.close()
        assert str(latest.readlink()) == folder.id
    assert len(names(tmp_path / "coding")) == 3  # two runs and the link: nothing else is left behind


def test_file_system_without_links_gets_no_latest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, target: str) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    folder = RunFolder.create(tmp_path, "coding", STARTED)
    folder.close()
    assert names(tmp_path / "coding") == {folder.id}


def test_latest_that_is_a_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "coding" / "latest" / "kept").mkdir(parents=True)
    folder = RunFolder.create(tmp_path, "coding", STARTED)
    folder.close()
    assert names(tmp_path / "coding") == {folder.id, "latest"}
    assert names(tmp_path / "coding" / "latest") == {"kept"}


@pytest.mark.parametrize("below", ["a file", "/proc", "/sys"])
def test_unwritable_folder_is_told_before_any_load(tmp_path: Path, below: str) -> None:
    if below == "a file":
        out = tmp_path / "file"
        out.write_text("x")
    else:
        out = Path(below) / "loadgen-reports"
        if not Path(below).is_dir():
            pytest.skip(f"no {below} here")
    with pytest.raises(
        OutputError, match=r"the run folder can't be written: .*; choose another .*--out"
    ) as e:
        RunFolder.create(out, "coding", STARTED)
    assert str(out) in str(e.value)
    assert e.value.exit_code == 1


def test_lines_are_in_the_files_in_order_when_closed(folder: RunFolder) -> None:
    for i in range(1000):
        folder.append(b'{"seq":%d}\n' % i)
        if i % 100 == 0:
            folder.append_hlog(b"line %d\n" % i)
            folder.flush()
    folder.close()
    assert folder.error is None
    assert (folder.path / "samples.jsonl").read_bytes() == b"".join(b'{"seq":%d}\n' % i for i in range(1000))
    assert (folder.path / "histograms.hlog").read_bytes() == b"".join(
        b"line %d\n" % i for i in range(0, 1000, 100)
    )
    assert "run folder" not in {t.name for t in threading.enumerate()}


def test_header_is_replaced_whole(folder: RunFolder) -> None:
    for i in range(50):
        folder.write_header(b"%d" % i * 1000)
    folder.close()
    assert (folder.path / "run.json").read_bytes() == b"49" * 1000
    assert names(folder.path) == {"samples.jsonl", "histograms.hlog", "run.json"}


def test_scenario_is_written_as_text(folder: RunFolder) -> None:
    folder.write_scenario('name = "é"\n')
    assert (folder.path / "scenario.toml").read_bytes() == b'name = "\xc3\xa9"\n'


@pytest.fixture
def stalled(tmp_path: Path) -> Iterator[tuple[RunFolder, int]]:
    """A folder whose samples go into a pipe that nobody reads, and the pipe."""
    pipe = tmp_path / "samples.jsonl"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    folder = RunFolder(tmp_path)
    yield folder, reader
    while folder._thread.is_alive():
        try:
            os.read(reader, 1 << 20)
        except BlockingIOError:
            folder._thread.join(0.01)
    os.close(reader)


def test_stalled_disk_blocks_neither_the_run_nor_its_end(stalled: tuple[RunFolder, int]) -> None:
    folder, _ = stalled
    for _ in range(20):
        folder.append(b"x" * 99_999 + b"\n")
        folder.flush()  # the pipe holds 64 KB: the thread hangs in the first write
    assert folder._thread.is_alive()
    folder.close(timeout_s=0.05)
    assert isinstance(folder.error, TimeoutError)
    assert folder.error.strerror is not None
    assert "0 s" in folder.error.strerror


def test_slow_disk_gets_everything(stalled: tuple[RunFolder, int]) -> None:
    folder, reader = stalled
    line = b"x" * 99_999 + b"\n"
    for _ in range(20):
        folder.append(line)
        folder.flush()
    got = b""
    while len(got) < 20 * len(line):
        try:
            got += os.read(reader, 1 << 16)
        except BlockingIOError:
            time.sleep(0.001)
    folder.close()
    assert folder.error is None
    assert got == line * 20


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_first_failure_is_kept_and_ends_the_writing(tmp_path: Path) -> None:
    (tmp_path / "histograms.hlog").symlink_to("/dev/full")
    folder = RunFolder(tmp_path)
    folder.append(b"a\n")
    folder.flush()
    folder.append_hlog(b"b\n")
    folder.flush()
    error = wait_for_error(folder)
    assert error.errno == errno.ENOSPC
    folder.append(b"c\n")
    folder.write_header(b"d")
    folder.close()
    assert folder.error is error
    assert (tmp_path / "samples.jsonl").read_bytes() == b"a\n"
    assert not (tmp_path / "run.json").exists()


LIMITED = """
import json, resource, sys, time
from datetime import UTC, datetime
from pathlib import Path
from loadgen.errors import OutputError
from loadgen.results.folder import RunFolder

folder = RunFolder.create(Path(sys.argv[1]), "coding", datetime.now(UTC))
folder.write_text("report.md", "old")
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
for i in range(100):
    folder.append(json.dumps({"seq": i, "text": "x" * 300}).encode() + b"\\n")
    if i % int(sys.argv[2]) == 0:
        folder.flush()
folder.close()
try:
    folder.write_text("report.md", "y" * 20_000)
except OutputError as error:
    print(error)
print(folder.error.errno, folder.path)
"""


@pytest.mark.parametrize("flush_every", [1, 7, 1000], ids=["each line", "some lines", "all at once"])
def test_full_disk_leaves_whole_lines(tmp_path: Path, flush_every: int) -> None:
    argv = [sys.executable, "-c", LIMITED, str(tmp_path), str(flush_every)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    told, last = done.stdout.splitlines()
    number, path = last.split()
    assert int(number) == errno.EFBIG
    lines = (Path(path) / "samples.jsonl").read_bytes().splitlines(keepends=True)
    assert all(line.endswith(b"}\n") for line in lines)
    # as much as fits stays, nothing twice and nothing left out
    assert [line[:12].split(b",")[0] for line in lines] == [b'{"seq": %d' % i for i in range(len(lines))]
    assert 9_600 < sum(map(len, lines)) <= 10_000
    assert re.search(r"report\.md: can't be written: File too large; make room .*: loadgen report /", told)
    assert (Path(path) / "report.md").read_text() == "old"
    assert not list(Path(path).glob(".*"))


def test_file_that_cannot_be_replaced_is_told(tmp_path: Path) -> None:
    (tmp_path / "report.md" / "in the way").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"report\.md: can't be written: Is a directory; give a file"):
        write_file(tmp_path / "report.md", b"x")
    assert names(tmp_path) == {"report.md"}
