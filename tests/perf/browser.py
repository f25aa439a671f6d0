"""What one browser costs while it searches: python tests/perf/browser.py [WORDS].

Searches WORDS words (12) of 120 posts each on the embedded platform, with the searcher's own loop, at a rate at which the pacer
does not hold it up. Prints the time of a start, listings and posts a second, CPU seconds of the browser and of the searcher for a
listing, and the proportional memory (PSS) of browser and driver together beside its target. Beside it stands the other way:
a browser of its own for each word.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

from crawl import searcher
from crawl.browser import Browser, browser
from crawl.frontier import Frontier
from crawl.jobs import GOOD
from crawl.pacer import Pacer
from crawl.replica import catalogue
from crawl.replica.catalogue import Listing
from crawl.replica.site import Site, serve
from crawl.searcher import Searcher
from crawl.work import Work
from svmbench.fleet import Fleet
from svmbench.recipe import parse

TARGET_MB = 500
POSTS_A_WORD, LISTING = 120, 12
STARTS = 3
LOOK_S = 0.2


def write(folder: Path, words: list[str]) -> None:
    """A catalogue of posts whose media nobody asks for."""
    media = folder / "media"
    media.mkdir()
    (media / "none.mp4").write_bytes(b"0" * 500_000)
    rows = [
        Listing(
            post_id=str(7_400_000_000_000_000_000 + 1000 * w + n), author=f"maker.{n}", caption=f"{word} {n} #{word}",
            hashtags=(word,), words=(word,), likes=1000 + n, created=1_700_000_000 + n, track_id=str(n), track_title="Song",
            track_artist="Artist", track_original=False, track_duration_s=30.0, duration_s=20.0, width_px=576, height_px=1024,
            media="media/none.mp4",
        )
        for w, word in enumerate(words) for n in range(POSTS_A_WORD)
    ]  # fmt: skip
    catalogue.write(folder, rows)


class Watch(threading.Thread):
    """Memory and CPU of all browsers below this process while it is open."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_mb, self.cpu_s, self._over = 0.0, dict[int, float](), threading.Event()

    def run(self) -> None:
        while not self._over.wait(LOOK_S):
            total = 0.0
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    if "chrom" in process.name():
                        total += process.memory_full_info().pss / 1e6
                        self.cpu_s[process.pid] = sum(process.cpu_times()[:2])
            self.peak_mb = max(self.peak_mb, total)

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


def start_s(site: Site) -> float:
    began = time.perf_counter()
    with browser(site.access, "perf"):
        return time.perf_counter() - began


def search(site: Site, folder: Path, words: list[str], words_a_browser: int) -> tuple[float, float, Watch, int]:
    """(wall seconds, CPU seconds of this process, what the browsers took, posts found)."""
    searcher.WORDS_A_BROWSER = words_a_browser
    values = {"site": "replica", "words": words, "posts_per_word": POSTS_A_WORD + 1}
    recipe = parse({"name": "perf", "search": values, "pace": {"pages_per_s": 100}, "robots": "obey"}, "perf")
    with Fleet(local=True) as fleet, Watch() as watch:
        frontier = fleet.actor(Frontier, str(folder / f"{words_a_browser}.sqlite"))
        frontier.ask("begin", words, GOOD)
        pacer = fleet.actor(Pacer, 100.0)
        work = Work(recipe=recipe, run=str(folder), access=site.access, frontier=frontier, pacer=pacer, secret=b"x", mark="perf")
        began, cpu = time.perf_counter(), time.process_time()
        Searcher(work).work()
        wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        stats = frontier.ask("stats")
    assert {q.outcome for q in stats.queries} == {"end"}, stats.queries
    return wall_s, cpu_s, watch, sum(q.found for q in stats.queries)


def memory_by_word(site: Site, words: list[str]) -> list[float]:
    """PSS in MB of one browser after each word, its page at the end."""
    sizes = []
    with browser(site.access, "perf") as running:
        for word in words:
            sizes.append(to_the_end(running, word) / 1e6)
    return sizes


def to_the_end(running: Browser, word: str) -> float:
    from crawl.platforms import tiktok
    from crawl.selectors import of_page

    url = tiktok.search_url(word)
    running.open(url)
    num_cards = 0
    while num_cards < POSTS_A_WORD:
        running.answers(tiktok.is_listing)
        num_cards += len(running.look(of_page(tiktok.SELECTORS, url), num_cards).cards)
    return running.memory_bytes()


def main() -> None:
    words = [f"word{n}" for n in range(int(sys.argv[1]) if len(sys.argv) > 1 else 12)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, words)
        with serve(folder) as site:
            starts = sorted(start_s(site) for _ in range(STARTS))
            sizes = memory_by_word(site, words)
            print(f"start of a browser          {starts[STARTS // 2]:.2f} s (median of {STARTS})")
            print(f"PSS after each word         first {sizes[0]:.0f} MB, last {sizes[-1]:.0f} MB, most {max(sizes):.0f} MB")
            rates = {}
            for words_a_browser in (searcher.WORDS_A_BROWSER, 1):
                wall_s, cpu_s, watch, num_posts = search(site, folder, words, words_a_browser)
                listings, cpu_browser_s = num_posts / LISTING, sum(watch.cpu_s.values())
                rates[words_a_browser] = (len(words) / wall_s, cpu_browser_s + cpu_s)
                print(
                    f"{words_a_browser:2} words a browser          {len(words) / wall_s:.2f} searches/s,"
                    f" {listings / wall_s:.1f} listings/s, {num_posts / wall_s:.0f} posts/s; CPU a listing: browser"
                    f" {1000 * cpu_browser_s / listings:.0f} ms, searcher {1000 * cpu_s / listings:.0f} ms;"
                    f" most {watch.peak_mb:.0f} MB PSS (target {TARGET_MB}: {'kept' if watch.peak_mb < TARGET_MB else 'missed'})"
                )
            (fast, cheap), (slow, dear) = rates.values()
            print(f"one browser for all words   {fast / slow:.1f} times the searches/s, {dear / cheap:.1f} times less CPU")


if __name__ == "__main__":
    main()
