"""What every benchmark stands on: rows, whole processes with their peak memory, and a home of their own.

Imports nothing heavy: on Linux a child's peak memory starts at what its parent had when it was forked.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
BACKBONE = "mobilenet_v2"
DONE, SOME_REFUSED = 0, 3  # exit codes of the command line: the second when a photo was left out
PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png"}
_PACKAGES = ("handful", "tensorflow", "keras", "ai-edge-litert", "numpy", "pillow", "scikit-learn")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: the benchmark it belongs to.
        what: what was measured, in words.
        measured: the outcome in words, spread included.
        target: what it should be, in words; "" for a number that is only on record.
        met: whether it is; None where there is no target, or the run was a quick one.
        values: the numbers behind it, for the JSON.
    """

    name: str
    what: str
    measured: str
    target: str = ""
    met: bool | None = None
    values: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Finished:
    """A process that has ended.

    Attributes:
        seconds: wall time from start to end.
        cpu: seconds of processor time, its threads and children together. A neighbour's load lengthens
            `seconds` much more than this.
        peak_mb: largest resident memory of all its threads together, in 2^20 bytes.
        out: what it printed.
        err: what it wrote to stderr.
    """

    seconds: float
    cpu: float
    peak_mb: float
    out: str
    err: str

    @property
    def answer(self) -> dict[str, Any]:
        """The JSON object in the last line that it printed."""
        return json.loads(self.out.strip().splitlines()[-1])


def run(
    command: Sequence[str | Path], environment: dict[str, str], folder: Path, fine: Iterable[int] = (DONE,)
) -> Finished:
    """Run a process to its end and measure it from outside.

    Raises:
        SystemExit: it ended with a code that is not among `fine`; its last words are shown.
    """
    out, err = folder / "stdout.txt", folder / "stderr.txt"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command], env=environment, cwd=folder, stdout=stdout, stderr=stderr
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    process.returncode = code = os.waitstatus_to_exitcode(status)
    words = out.read_text("utf-8"), err.read_text("utf-8")
    ended = Finished(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / _RSS_PER_MB, *words)
    if code not in fine:
        told = " ".join(str(part) for part in command)
        raise SystemExit(f"{told}\nended with exit code {code}:\n{ended.out[-2000:]}{ended.err[-2000:]}")
    return ended


_RSS_PER_MB = 1024 * 1024 if sys.platform == "darwin" else 1024  # bytes on macOS, kilobytes elsewhere


def handful(*words: str | Path) -> list[str | Path]:
    """The command line as a user without an activated environment starts it."""
    return [sys.executable, "-m", "handful", *words]


def train_frozen(*words: str | Path) -> list[str | Path]:
    """`handful train` without the decision whether to fine-tune: what stands against frozen peers."""
    return handful("train", *words, "--backbone", BACKBONE, "--effort", "quick")


def script(name: str, *words: str | Path) -> list[str | Path]:
    """A script of this folder."""
    return [sys.executable, HERE / name, *words]


class Session:
    """One run of the benchmarks.

    Args:
        shared: the folder with data/ and keras_home/; only read.
        scratch: a temporary folder; everything is written under it.
        quick: less of everything, to see that it works; no target is judged.
    """

    def __init__(self, shared: Path, scratch: Path, *, quick: bool) -> None:
        self.shared, self.scratch, self.quick = shared, scratch, quick
        self._made = 0
        shutil.copytree(shared / "keras_home" / "models", scratch / "keras" / "models")
        for path in (scratch / "keras").rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def often(self, count: int, quick: int = 1) -> int:
        """How many repetitions: `count`, or `quick` in a quick run."""
        return quick if self.quick else count

    def judge(self, met: bool) -> bool | None:
        """A quick run judges nothing."""
        return None if self.quick else bool(met)

    def folder(self, name: str) -> Path:
        """A new empty folder."""
        self._made += 1
        path = self.scratch / f"{self._made:03}-{name}"
        path.mkdir()
        return path

    def environment(self, cache: Path) -> dict[str, str]:
        """The caller's environment with a Keras home of our own and this cache, on the CPU alone."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HANDFUL_")}
        ours = {"KERAS_HOME": self.scratch / "keras", "HANDFUL_CACHE": cache, "CUDA_VISIBLE_DEVICES": -1}
        return {**kept, **{name: str(value) for name, value in ours.items()}}

    def data(self, name: str) -> Path:
        """A folder of shared photos."""
        return self.shared / "data" / name

    @cached_property
    def network(self) -> dict[str, Any]:
        """The converted backbone, made once per session: its cache folder, file and output positions."""
        cache = self.folder("converted")
        made = run(script("photo_features.py", "--convert"), self.environment(cache), cache)
        return {"cache": cache, **made.answer}

    def converted_cache(self, name: str) -> Path:
        """A new cache that holds the converted backbone and no features."""
        folder = self.folder(name)
        shutil.copytree(self.network["cache"] / "networks", folder / "networks")
        return folder


Family = Callable[[Session, set[str]], Iterator[Row]]


def spread(values: Sequence[float], unit: str = "s", digits: int = 2) -> str:
    """Median and range in words: "4.52 s (4.40 to 4.81)"."""
    middle = f"{statistics.median(values):.{digits}f} {unit}".strip()
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def ratio(peer: Sequence[float], ours: Sequence[float]) -> tuple[float, str]:
    """Ratio of the medians, and the same in words with the range over rounds that ran in turn."""
    value = statistics.median(peer) / statistics.median(ours)
    each = [one / other for one, other in zip(peer, ours, strict=True)]
    extent = f" ({min(each):.1f} to {max(each):.1f})" if len(each) > 1 else ""
    return value, f"{value:.1f}x{extent}: {spread(peer, digits=1)} / {spread(ours)}"


def photos_in(folder: Path) -> list[Path]:
    """Photos by suffix at any depth, in order; no hidden files and no .gif."""
    found = folder.rglob("*")
    return sorted(p for p in found if p.suffix.lower() in PHOTO_SUFFIXES and not p.name.startswith("."))


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": _processor(),
        "cores": usable,
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
        "commit": _commit(),
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "when": time.strftime("%Y-%m-%d %H:%M"),
    }


def _processor() -> str:
    """The model's name; its instruction sets where they matter, since virtual machines hide the name."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    fields = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    wide = next((name for flag, name in _WIDE if flag in fields.get("flags", "").split()), "")
    return f"{fields.get('model name', platform.machine())}{wide}"


_WIDE = (("avx512f", ", AVX-512"), ("avx2", ", AVX2"))


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip() or "unknown"
