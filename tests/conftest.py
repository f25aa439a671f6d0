"""What all tests share: where the real media are, and a private cache."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SVMBENCH_SHARED", ROOT.parent / "shared")).resolve()


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
