"""video2dataset 1.3.0 in an environment of its own, for crawl_speed.py: python tests/perf/video2dataset_env.py builds it.

It stands under SVMBENCH_CACHE (default ~/.cache/svmbench), takes about 2 GB and one or two minutes, and is built once. The
package pins torch 2.1.2 and torchaudio 2.1.2 with several GB of CUDA libraries; a crawl needs torch for its import only. So it is
installed without its dependencies, beside the torch that svmbench has, an empty `torchaudio`, and its other dependencies as far
as they can be had together (NumPy 1, and what goes with that).
"""

from __future__ import annotations

import json
import os
import subprocess
import venv
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

PEER = "video2dataset==1.3.0"
WITHOUT_DEPENDENCIES = (PEER, "torchdata==0.7.1", "transformers==4.37.1", "tokenizers==0.15.2", "accelerate", "bitsandbytes")
DEPENDENCIES = (
    "numpy<2", "pandas<3", "pyarrow<20", "webdataset<0.3", "fire<0.6", "requests<3", "huggingface_hub<1", "scenedetect==0.6.2",
    "opencv-python-headless<5", "ffmpeg-python", "fsspec", "webvtt-py", "wandb", "tqdm", "timeout-decorator", "decord",
    "omegaconf", "einops", "langdetect", "soundfile", "Pillow", "scipy", "safetensors", "regex", "psutil", "certifi",
)  # fmt: skip
SHOWN = ("video2dataset", "yt-dlp", "torch", "numpy", "pyarrow", "requests")
STUB = ("__init__.py", "functional.py", "transforms.py")
SECONDS_MAX = 1800.0


def home() -> Path:
    cache = Path(os.environ.get("SVMBENCH_CACHE") or Path.home() / ".cache" / "svmbench")
    return cache.expanduser().resolve() / "peers" / "video2dataset"


def build() -> Path:
    """The environment's folder; RuntimeError with pip's last line where it cannot be built."""
    folder, wanted = home(), json.dumps([WITHOUT_DEPENDENCIES, *_dependencies()])
    stamp = folder / "complete.json"
    if stamp.is_file() and stamp.read_text() == wanted:
        return folder
    print(f"building {PEER} in {folder} (once, a minute or two)", flush=True)
    venv.create(folder, clear=True, with_pip=True)
    for words in (("--no-deps", *WITHOUT_DEPENDENCIES), *_dependencies()):
        _pip(folder, *words)
    stub = _site_packages(folder) / "torchaudio"
    stub.mkdir(exist_ok=True)
    for name in STUB:
        (stub / name).touch()
    _run(folder, "-c", "import video2dataset")
    stamp.write_text(wanted)
    return folder


def _dependencies() -> tuple[tuple[str, ...], ...]:
    """torch on its own and first, as in the Makefile; yt-dlp in the version that svmbench has."""
    return (f"torch=={version('torch').split('+')[0]}", "numpy<2"), (*DEPENDENCIES, f"yt-dlp=={version('yt-dlp')}")


def _pip(folder: Path, *words: str) -> None:
    _run(folder, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words)


def _run(folder: Path, *words: str) -> str:
    done = subprocess.run([folder / "bin" / "python", *words], capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no reason given"])[-1])
    return done.stdout


def _site_packages(folder: Path) -> Path:
    return next((folder / "lib").glob("python*/site-packages"))


def versions(folder: Path) -> dict[str, str]:
    code = f"import json; from importlib.metadata import version; print(json.dumps({{n: version(n) for n in {SHOWN!r}}}))"
    found: dict[str, str] = json.loads(_run(folder, "-c", code))
    return found


def trust(folder: Path, ca_file: str) -> None:
    """The environment's certifi trusts this authority besides those that it came with."""
    bundle = _site_packages(folder) / "certifi" / "cacert.pem"
    original = bundle.with_name("cacert.original.pem")
    if not original.exists():
        original.write_bytes(bundle.read_bytes())
    bundle.write_bytes(original.read_bytes() + b"\n" + Path(ca_file).read_bytes())


def command(folder: Path, work: Path, links: list[str], kinds: Mapping[str, str], *, threads: int, metadata: bool) -> list[str]:
    """The command that fetches links into work/out: one process, one shard. kinds: modality -> ending of its files."""
    (work / "links.txt").write_text("".join(f"{link}\n" for link in links))
    told = {"get_info": True} if metadata else None
    settings: dict[str, Any] = {
        "subsampling": {},
        "reading": {
            "yt_args": {"download_size": 360, "download_audio_rate": 44100, "yt_metadata_args": told},
            "timeout": 60,
            "sampler": None,
        },
        "storage": {"number_sample_per_shard": 1000, "oom_shard_count": 5, "captions_are_subtitles": False},
        "distribution": {"processes_count": 1, "thread_count": threads, "subjob_size": 1000, "distributor": "multiprocessing"},
    }
    (work / "settings.yaml").write_text(json.dumps(settings))  # JSON is YAML
    (work / "tmp").mkdir(exist_ok=True)
    return [
        str(folder / "bin" / "video2dataset"), f"--url_list={work / 'links.txt'}", "--input_format=txt", "--output_format=files",
        f"--output_folder={work / 'out'}", f"--encode_formats={json.dumps(dict(kinds))}", f"--tmp_dir={work / 'tmp'}",
        f"--config={work / 'settings.yaml'}",
    ]  # fmt: skip


def told(work: Path) -> list[dict[str, Any]]:
    """What the tool wrote about each link: url, status, error_message, yt_meta_dict; and under 'files' where its media are."""
    found = []
    for path in sorted((work / "out").rglob("*.json")):
        row = json.loads(path.read_text())
        if "status" in row:
            media = [other for other in path.parent.glob(f"{path.stem}.*") if other.suffix not in (".json", ".txt")]
            found.append({**row, "files": media})
    return found


if __name__ == "__main__":
    try:
        print(versions(build()))
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(f"{PEER} cannot be had here: {error}")
