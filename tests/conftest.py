"""What all tests share: where the real media are, and a private cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SVMBENCH_SHARED", ROOT.parent / "shared")).resolve()


def _shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        message = f"{name} is not in {SHARED}; set SVMBENCH_SHARED to the folder that has it"
        if os.environ.get("SVMBENCH_REQUIRE_SHARED"):
            pytest.fail(message)
        pytest.skip(message)
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
