"""What all tests share: where the real media are, and a private cache."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SVMBENCH_SHARED", ROOT.parent / "shared")).resolve()


def pytest_configure() -> None:
    """A shell starts background jobs with SIGINT ignored, which children inherit; tests that interrupt commands need it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _absent(message: str) -> NoReturn:
    """Skips with the reason; where everything must be there, as in .ci/run, the test fails."""
    if os.environ.get("SVMBENCH_REQUIRE_SHARED"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def absent() -> Callable[[str], NoReturn]:
    """To be called where a part of this machine that a test needs is missing."""
    return _absent


def _shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        _absent(f"{name} is not in {SHARED}; set SVMBENCH_SHARED to the folder that has it")
    return path


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of real media, with manifest.csv."""
    return _shared("clips")


@pytest.fixture(scope="session")
def real_pairs() -> Path:
    """Real video-music pairs as features."""
    return _shared("data/muvi_sync_10s.npz")


@pytest.fixture(autouse=True, scope="session")
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or fills the user's cache, but they share one, so that posts are composed once."""
    os.environ["SVMBENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A driver without network: everything goes to a proxy that is not there, so that only files can be read."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        _absent("Chromium or its driver is missing; see the Makefile's target browser")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--proxy-server=127.0.0.1:9",
                 "--window-size=1400,1000",
                 f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):  # fmt: skip
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(shutil.which("chromedriver"))))
    yield driver
    driver.quit()


def _scored_run(path: Path, rows: list[dict[str, Any]], *, revision: str = "d" * 64, songs: int = 40, start: str = "") -> Any:
    """A run folder as run-baselines leaves it, of embeddings that were drawn: two clips a song, the more `noise` the worse.

    rows: each with baseline and noise, and what else of the table `jobs` is not as below. Rows of one seed have the same noise.
    start: another one for other numbers from the same settings.
    """
    import hashlib
    import json

    import numpy as np
    import pyarrow as pa

    from benchmarks import results
    from benchmarks.ranking import retrieve
    from svmbench.store import RunFolder

    run = RunFolder.create(path)
    song_N = np.repeat(np.arange(songs), 2)
    for row in rows:
        job: dict[str, Any] = {
            "dataset": "toy", "revision": revision, "split": "test", "variant": "default", "settings_hash": "5e77145",
            "settings": json.dumps({"lr": 0.1}), "seed": 0, "folds": None, "fold": None, "code": "c0de", "commit": "abc123",
            "checks": [], "findings": ["ties: passed, 0.0% of the queries are tied"], "device": "cpu", "gpu": "",
            "num_params": 7, "wall_s": 1.5, "started": "2026-01-01T00:00:00Z", "train_s": 1.0, "eval_s": 0.5, "num_train": 80,
            "hardware": json.dumps({"cores": 2}), **{name: value for name, value in row.items() if name != "noise"},
        }  # fmt: skip
        depends_on = [job[name] for name in ("revision", "split", "baseline", "variant", "settings_hash", "code", "seed", "fold")]
        job["key"] = job.get("key") or hashlib.sha256(repr(depends_on).encode()).hexdigest()[:24]
        rng = np.random.default_rng([job["seed"], job["fold"] or 0, *start.encode()])
        video = rng.normal(size=(len(song_N), 16)).astype(np.float32)
        music = (video + row["noise"] * rng.normal(size=video.shape)).astype(np.float32)
        songs_of = [f"s{job['fold'] or 0}{song:03d}" for song in range(songs)]
        clips = [f"v:{songs_of[song]}-{i % 2}" for i, song in enumerate(song_N)]
        tables = []
        for direction, ranks in retrieve(video, music, song_N).items():
            ids = clips if direction == "video_to_music" else [f"m:{song}" for song in songs_of]
            own = [songs_of[song] for song in song_N] if direction == "video_to_music" else songs_of
            same = {name: [job[name]] * len(ids) for name in ("key", "baseline", "variant", "seed", "fold")}
            columns = {**same, "direction": [direction] * len(ids), "query_id": ids, "song_id": own, **ranks.columns()}
            tables.append(pa.table(columns, schema=results.RANKS_SCHEMA))
        with run.writing("bench") as writer:
            jobs = pa.Table.from_pylist([job], schema=results.JOBS_SCHEMA)
            writer.commit([job["key"]], {"ranks": pa.concat_tables(tables), "jobs": jobs})
    pack = path / "features" / revision[:16] / "pack.json"
    pack.parent.mkdir(parents=True, exist_ok=True)
    feature = hashlib.sha256(revision.encode()).hexdigest()
    pack.write_text(json.dumps({"features": {"look": {"sha256": feature}}, "split_sha256": "5" * 64, "source": {"kind": "run"}}))
    results.write(run, revision)
    return run


@pytest.fixture(scope="session")
def scored_run() -> Callable[..., Any]:
    """Makes a run folder with results, without a training: see _scored_run."""
    return _scored_run


@pytest.fixture
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are short, no token is about, and any connection that leaves the machine fails the test."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    connect, sleep = socket.socket.connect, time.sleep

    def guarded(self: socket.socket, address: tuple[str, int]) -> None:
        assert address[0] == "127.0.0.1", f"a foreign host was asked: {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))


@pytest.fixture
def hub() -> Iterator[Any]:
    """A Hub on loopback, which must have known every request and never been shown a token at its second origin."""
    from svmbench.hubsim import serve

    with serve() as hub:
        yield hub
        assert hub.unknown == []
        assert not [seen for seen in hub.log if seen.origin == "cdn" and seen.authorized]
