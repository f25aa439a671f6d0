"""What is installed, what is missing, and how to get it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. state: 'ok', 'missing' (the main job needs it) or 'optional' (only some things need it)."""

    what: str
    state: str
    detail: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Everything that svmbench can use on this machine."""
    return [
        _python(),
        *(_package(*row) for row in _PACKAGES),
        *(_optional(*row) for row in _OPTIONAL),
        _program("Chromium", ("chromium", "chromium-browser", "google-chrome"), "SVMBENCH_CHROMIUM", "apt install chromium"),
        _program("ChromeDriver", ("chromedriver",), "SVMBENCH_CHROMEDRIVER", "apt install chromium-driver"),
        _ffmpeg(),
        _gpu(),
        _token(),
        _disk(),
    ]


_PACKAGES = (
    ("Ray", "ray", "ray"),
    ("Selenium", "selenium", "crawl"),
    ("yt-dlp", "yt_dlp", "crawl"),
    ("OpenCV", "cv2", "curate"),
    ("scikit-image", "skimage", "curate"),
    ("PyAV", "av", "curate"),
    ("silero-vad", "silero_vad", "curate"),
    ("PyTorch", "torch", "bench"),
    ("datasets", "datasets", "hub"),
    ("huggingface_hub", "huggingface_hub", "hub"),
)
_OPTIONAL = (  # not in svmbench[all]: only a recipe that names the feature needs them
    ("Essentia", "essentia", "essentia", "the feature beats_essentia; AGPL-3.0"),
    ("torchvision", "torchvision", "raft", "the feature optical_flow_raft, with SVMBENCH_RAFT_WEIGHTS"),
)
_DISTRIBUTIONS = {"yt_dlp": "yt-dlp", "cv2": "opencv-python-headless", "skimage": "scikit-image", "silero_vad": "silero-vad"}


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 10)
    return Finding("Python", "ok" if good else "missing", version, "" if good else "install Python 3.11")


def _package(label: str, module: str, extra: str) -> Finding:
    if importlib.util.find_spec(module) is None:
        return Finding(label, "missing", "not installed", f"pip install 'svmbench[{extra}]'")
    try:
        version = metadata.version(_DISTRIBUTIONS.get(module, module))
    except metadata.PackageNotFoundError:
        version = "installed"
    return Finding(label, "ok", version)


def _optional(label: str, module: str, extra: str, only_for: str) -> Finding:
    found = _package(label, module, extra)
    return found if found.state == "ok" else Finding(label, "optional", "not installed", f"{found.remedy}, only for {only_for}")


def _program(label: str, names: tuple[str, ...], variable: str, remedy: str) -> Finding:
    path = os.environ.get(variable) or next(filter(None, map(shutil.which, names)), None)
    if path is None or not os.access(path, os.X_OK):
        return Finding(
            label, "missing", "not found" if path is None else f"{variable}={path} cannot be run", f"{remedy}, or set {variable}"
        )
    return Finding(label, "ok", _first_line([path, "--version"]))


def _ffmpeg() -> Finding:
    path = shutil.which("ffmpeg")
    if path is None:
        return Finding("ffmpeg", "optional", "not found; needed for youtube_shorts alone", "apt install ffmpeg")
    return Finding("ffmpeg", "ok", _first_line([path, "-version"]).split(" Copyright")[0])


def _first_line(command: list[str]) -> str:
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        return f"does not answer ({type(error).__name__})"
    return next(iter(run.stdout.strip().splitlines()), "no answer")


def _gpu() -> Finding:
    names = _first_line(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]) if shutil.which("nvidia-smi") else ""
    if not names:
        return Finding("GPU", "optional", "none", "run-baselines works on the CPU with --gpus 0, the default")
    return Finding("GPU", "ok", names)


def _token() -> Finding:
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    if os.environ.get("HF_TOKEN") or (home / "token").is_file():
        return Finding("Hub token", "ok", "present")
    return Finding("Hub token", "optional", "none", "hf auth login, before 'svmbench publish --repo'")


def _disk() -> Finding:
    free_gb = shutil.disk_usage(Path.cwd()).free / 2**30
    return Finding(
        "Free disk", "ok" if free_gb > 2 else "missing", f"{free_gb:.0f} GB here", "" if free_gb > 2 else "free at least 2 GB"
    )
