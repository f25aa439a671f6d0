"""The run folder: atomic commits over several tables, resume, media by hash."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from svmbench.errors import BadInput, StorageError
from svmbench.store import RunFolder, disk_errors, sha256_file, write_atomically


def rows(*ids: str) -> pa.Table:
    return pa.table({"id": list(ids)})


def test_a_commit_is_read_back_from_every_table_in_order(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    with run.writing("crawl") as writer:
        writer.commit(["a", "b"], {"posts": rows("a"), "drops": rows("b")})
        writer.commit(["c"], {"posts": rows("c"), "drops": rows()})
    assert run.read_table("posts")["id"].to_pylist() == ["a", "c"]
    assert run.read_table("drops")["id"].to_pylist() == ["b"]
    assert run.done_ids("crawl") == {"a", "b", "c"}
    assert run.read_table("clips") is None


def test_a_part_without_its_marker_does_not_exist_and_is_swept(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    with run.writing("crawl") as writer:
        writer.commit(["a"], {"posts": rows("a")})
        part = writer.commit(["b"], {"posts": rows("b")})
    (run.path / "done" / f"{part}.json").unlink()  # killed between the tables and the marker
    assert run.read_table("posts")["id"].to_pylist() == ["a"]
    with run.writing("crawl") as writer:
        assert not run._part("posts", part).exists()
        writer.commit(["b"], {"posts": rows("b")})
    assert run.read_table("posts")["id"].to_pylist() == ["a", "b"]


def test_only_one_process_writes_a_stage(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    with run.writing("crawl"):
        with pytest.raises(StorageError, match="another svmbench is running 'crawl'"), run.writing("crawl"):
            pass
        with run.writing("curate") as other:  # another stage may
            other.commit(["x"], {"clips": rows("x")})


def test_clear_takes_back_one_stage_only(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    with run.writing("crawl") as crawl, run.writing("curate") as curate:
        crawl.commit(["a"], {"drops": rows("a")})
        curate.commit(["b"], {"drops": rows("b"), "clips": rows("b")})
        curate.clear()
        assert run.read_table("drops")["id"].to_pylist() == ["a"]
        assert run.read_table("clips") is None
        curate.commit(["b"], {"clips": rows("b")})
    assert run.read_table("clips")["id"].to_pylist() == ["b"]


def test_a_replacement_takes_the_place_of_one_stage_at_once(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    with run.writing("crawl") as crawl, run.writing("judge") as judge:
        crawl.commit(["a"], {"drops": rows("a")})
        judge.commit(["b"], {"drops": rows("b"), "clips": rows("b")})
        judge.commit(["c"], {"clips": rows("c")})
        judge.replace(["d"], {"clips": rows("d")})
        assert run.read_table("clips")["id"].to_pylist() == ["d"]
        assert run.read_table("drops")["id"].to_pylist() == ["a"]
        assert run.done_ids("judge") == {"d"}
        judge.replace(["e"], {"clips": rows("e")})
        judge.commit(["f"], {"clips": rows("f")})
    for _ in range(2):  # the first to come deletes what was replaced
        assert run.read_table("clips")["id"].to_pylist() == ["e", "f"]
        with run.writing("judge"):
            pass
    assert len(list((run.path / "tables").rglob("judge-*.parquet"))) == len(list((run.path / "done").glob("judge-*"))) == 2
    with run.writing("judge") as judge:
        judge.commit(["g"], {"clips": rows("g")})
        judge.replace([], {})
        assert run.read_table("clips") is None
        judge.clear()
        judge.commit(["h"], {"clips": rows("h")})
    assert run.read_table("clips")["id"].to_pylist() == ["h"]


REPLACING = """
import sys, pyarrow as pa
from svmbench.store import RunFolder
run, n = RunFolder(sys.argv[1]), 0
while True:
    with run.writing("judge") as writer:
        for _ in range(3):
            n += 1
            half = pa.table({"id": [f"{sys.argv[2]}.{n}"] * 5})
            writer.replace([str(n)], {"clips": half, "drops": half})
            print(n, flush=True)
"""


def test_only_the_named_parts_give_way_and_none_of_them_comes_back(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    with run.writing("crawl") as writer:
        first = writer.commit(["a", "b"], {"posts": rows("a"), "drops": rows("b")})
        writer.commit(["c"], {"posts": rows("c")})
        second = writer.replace(["a"], {"posts": rows("a2")}, [first])
        assert (run.done_ids("crawl"), run.read_table("drops")) == ({"a", "c"}, None)
        writer.replace(["a"], {"posts": rows("a3")}, [second])
    (run.path / "done" / f"{second}.json").unlink()  # a sweep that was killed in the middle
    assert sorted(run.read_table("posts")["id"].to_pylist()) == ["a3", "c"]
    with run.writing("crawl"):
        pass
    assert sorted(run.read_table("posts")["id"].to_pylist()) == ["a3", "c"]
    assert run.done_ids("crawl") == {"a", "c"}
    assert len(list((run.path / "tables").rglob("*.parquet"))) == 2


def test_looking_whether_a_stage_is_at_work_stops_nobody(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    assert not run.busy("crawl")
    with run.writing("crawl"):
        assert run.busy("crawl")
        assert not run.busy("curate")
    looking, over = threading.Event(), threading.Event()

    def look() -> None:
        while not over.is_set():
            run.busy("crawl")
            looking.set()

    thread = threading.Thread(target=look)
    thread.start()
    looking.wait()
    try:
        for _ in range(20):
            with run.writing("crawl"):
                pass
    finally:
        over.set()
        thread.join()


def test_a_reader_sees_all_of_the_old_or_all_of_the_new_whenever_the_writer_is_killed(tmp_path: Path) -> None:
    run, seen = RunFolder.create(tmp_path / "run"), set()
    with run.writing("judge") as writer:
        writer.commit(["0"], {"clips": rows(*["0"] * 5), "drops": rows(*["0"] * 5)})
    for start in range(3):
        command = [sys.executable, "-c", REPLACING, str(run.path), str(start)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout
            for _ in range(8 + start):
                child.stdout.readline()
                for table in ("clips", "drops"):
                    ids = run.read_table(table)["id"].to_pylist()
                    assert len(ids) == 5
                    assert len(set(ids)) == 1
                    seen.add(ids[0])
            child.send_signal(signal.SIGKILL)
        clips, drops = (run.read_table(table)["id"].to_pylist() for table in ("clips", "drops"))
        assert clips == drops
        assert len(clips) == 5
    assert len(seen) > 4


CHILD = """
import sys, pyarrow as pa
from svmbench.store import RunFolder
run = RunFolder(sys.argv[1])
with run.writing("crawl") as writer:
    done, n = run.done_ids("crawl"), 0
    while len(done) < 400:
        i = str(len(done)); done.add(i)
        writer.commit([i], {"posts": pa.table({"id": [i]}), "drops": pa.table({"id": [i]})})
        print(i, flush=True)
"""


def test_sigkill_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", CHILD, str(run.path)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout
            for _ in range(40):
                if not child.stdout.readline():
                    break
            child.send_signal(signal.SIGKILL)
    subprocess.run([sys.executable, "-c", CHILD, str(run.path)], check=True, stdout=subprocess.DEVNULL)
    expected = sorted(map(str, range(400)))
    for table in ("posts", "drops"):
        assert sorted(run.read_table(table)["id"].to_pylist()) == expected
    assert not list(run.path.rglob("*.tmp"))


def test_media_are_stored_once_under_their_hash(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    for name in ("one.mp4", "two.MP4"):
        (tmp_path / name).write_bytes(b"same bytes")
    sha = run.add_media(tmp_path / "one.mp4")
    assert run.add_media(tmp_path / "two.MP4", move=True) == sha == sha256_file(run.media_path(sha))
    assert (tmp_path / "one.mp4").exists()
    assert not (tmp_path / "two.MP4").exists()
    assert len(list((run.path / "media").rglob("*.mp4"))) == 1
    with pytest.raises(BadInput, match="run the crawl again"):
        run.media_path("0" * 64)


def test_threads_that_bring_the_same_content_at_once_store_it_once(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    num_threads, num_rounds = 8, 20
    start = threading.Barrier(num_threads)

    def bring(thread: int) -> set[str]:
        found = set()
        for i in range(num_rounds):
            source = tmp_path / f"{thread}-{i}.mp4"
            source.write_bytes(bytes([i]) * 100_000)
            start.wait(timeout=30)
            found.add(run.add_media(source, move=thread % 2 == 0))
        return found

    with ThreadPoolExecutor(num_threads) as pool:
        found = list(pool.map(bring, range(num_threads)))
    assert all(one == found[0] for one in found)
    assert len(found[0]) == num_rounds
    stored = [p for p in (run.path / "media").rglob("*") if p.is_file()]
    assert sorted(p.stem for p in stored) == sorted(found[0]), "each once, and no temporary file is left"
    assert all(sha256_file(p) == p.stem for p in stored)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").touch()
    with pytest.raises(BadInput, match="choose a new or empty folder"):
        RunFolder.create(tmp_path / "photos")
    (tmp_path / "editor").mkdir()
    (tmp_path / "editor" / "settings.json").write_text("// a program's, and no JSON")
    for name in ("absent", "photos", "editor"):
        with pytest.raises(BadInput, match="is not a run folder"):
            RunFolder.open(tmp_path / name)
    with pytest.raises(BadInput, match="choose a new or empty folder"):
        RunFolder.create(tmp_path / "editor")


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is full; free some space and run the same command again"), disk_errors(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.skipif(os.geteuid() != 0 or not Path("/bin/mount").exists(), reason="needs root to make a tiny disk")
def test_a_really_full_disk_keeps_what_was_committed(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        run = RunFolder.create(disk / "run")
        with run.writing("crawl") as writer:
            writer.commit(["a"], {"posts": rows("a")})
            with pytest.raises(StorageError, match="is full"):
                writer.commit(["b"], {"posts": rows(*(os.urandom(32).hex() for _ in range(20_000)))})
        assert run.read_table("posts")["id"].to_pylist() == ["a"]
        with run.writing("crawl") as writer:
            writer.commit(["b"], {"posts": rows("b")})
        assert run.read_table("posts")["id"].to_pylist() == ["a", "b"]
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def test_sweeping_spares_the_temporary_file_of_a_living_writer(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    target = run.path / "media" / "ab" / "x.mp4"
    target.parent.mkdir(parents=True)
    dead = target.with_name(".y.mp4.1234.999999999.tmp")
    dead.touch()

    def write_while_another_stage_starts(temporary: Path) -> None:
        temporary.write_text("half")
        with run.writing("crawl"):
            pass

    write_atomically(target, write_while_another_stage_starts)
    assert target.read_text() == "half"
    assert not dead.exists()
