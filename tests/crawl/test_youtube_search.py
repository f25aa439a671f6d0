"""Discovery on YouTube with the real yt-dlp against the embedded platform: words and tags, page by page, no browser."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from yt_dlp.networking.exceptions import HTTPError

from crawl.frontier import Frontier
from crawl.lister import Lister
from crawl.means import Means, Refused, Stopped
from crawl.pacer import Pacer
from crawl.platforms import Page, youtube_shorts
from crawl.replica import catalogue
from crawl.replica.site import Site, serve
from crawl.replica.youtube import PAGE_ITEMS, YouTube
from crawl.replica.youtube_answers import ORDINARY, PROMOTED, video_id
from crawl.work import Work
from svmbench.fleet import Fleet
from svmbench.recipe import Recipe, parse

MANY = 45


def make_recipe(*, per_s: float = 80, **search: object) -> Recipe:
    values = {"platform": "youtube_shorts", "site": "replica", "words": ["many"], **search}
    return parse({"name": "t", "robots": "obey", "search": values, "pace": {"pages_per_s": per_s}}, "t")


@pytest.fixture(scope="module")
def shelf(site_catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue with MANY posts that the word 'many' and the tag '#many' find; nobody asks for their media."""
    folder = tmp_path_factory.mktemp("many")
    model = catalogue.read(site_catalogue)[0]
    rows = [replace(model, post_id=str(10**18 + n), words=("Many",), hashtags=("many",), duration_s=7.0) for n in range(MANY)]
    catalogue.write(folder, rows)
    return folder


@pytest.fixture
def youtube(shelf: Path) -> Iterator[Site]:
    with serve(shelf) as site:
        yield site


@pytest.fixture
def work(youtube: Site, tmp_path: Path) -> Iterator[Work]:
    """What a worker of a crawl is given."""
    recipe = make_recipe(posts_per_word=25)
    with Fleet(local=True) as fleet:
        frontier = fleet.actor(Frontier, str(tmp_path / "crawl" / "frontier.sqlite"))
        pacer = fleet.actor(Pacer, recipe.pace.pages_per_s)
        yield Work(
            recipe=recipe, run=str(tmp_path), access=youtube.access, frontier=frontier, pacer=pacer, secret=b"x" * 32, mark="t"
        )


@pytest.fixture
def means(work: Work) -> Means:
    return Means(work, threading.Event())


def ids(shelf: Path) -> list[str]:
    return [video_id(row.post_id) for row in catalogue.read(shelf)]


def found(pages: list[Page]) -> list[list[str]]:
    return [[candidate.post_id for candidate in page.candidates] for page in pages]


@pytest.mark.parametrize(("word", "first"), [("many", "search_api"), ("#many", "search_page")])
def test_all_shorts_of_a_word_or_a_tag_come_page_by_page(means: Means, youtube: Site, shelf: Path, word: str, first: str) -> None:
    pages = list(youtube_shorts.pages(means, word, ""))
    wanted = ids(shelf)
    assert [sorted(page) for page in found(pages)] == [
        sorted(wanted[start : start + PAGE_ITEMS]) for start in range(0, MANY, PAGE_ITEMS)
    ]
    assert [page.more for page in pages] == [True, True, False]
    assert not any(page.wall for page in pages)
    assert not {ORDINARY, PROMOTED} & {name for page in found(pages) for name in page}, "no ordinary video, no advertisement"
    hits = youtube.hits
    assert hits[first] >= 1
    assert hits["search_api"] + hits["search_page"] == 3, "one request an answer, and no other"
    assert set(hits) <= {"robots", "search_api", "search_page"}, "no foreign host"


def test_a_tag_among_the_words_of_a_catalogue_is_found(shelf: Path, tmp_path: Path) -> None:
    """The embedded platform's own catalogues may have the recipe's '#tag' as a word, without the hashtag."""
    row = replace(catalogue.read(shelf)[0], words=("#Sea",), hashtags=())
    catalogue.write(tmp_path / "sea", [row])
    answer = YouTube(tmp_path / "sea", None)._tag("sea")
    assert video_id(row.post_id) in answer.body
    assert video_id(row.post_id) not in YouTube(tmp_path / "sea", None)._tag("se").body


def test_cards_tell_no_likes_and_some_the_duration(means: Means) -> None:
    cards = next(iter(youtube_shorts.pages(means, "many", ""))).candidates
    assert {(card.likes, card.likes_exact) for card in cards} == {(None, False)}
    assert {card.duration_s for card in cards} == {None, 7.0}


def test_answers_are_asked_for_one_at_a_time(means: Means, youtube: Site) -> None:
    pages = youtube_shorts.pages(means, "many", "")
    for number in (1, 2):
        next(pages)
        assert youtube.hits["search_api"] == number, "the next answer is asked for when it is wanted"


@pytest.mark.parametrize("word", ["many", "#many"])
def test_a_search_goes_on_where_it_stopped(means: Means, youtube: Site, word: str) -> None:
    whole = list(youtube_shorts.pages(means, word, ""))
    before = youtube.hits
    rest = list(youtube_shorts.pages(means, word, whole[0].cursor))
    assert rest == whole[1:]
    assert youtube.hits - before == {"search_api": 2}, "what was read is not asked for again"


def test_a_token_that_the_site_forgot_begins_anew_and_repeats_nothing(means: Means) -> None:
    whole = list(youtube_shorts.pages(means, "many", ""))
    again = list(youtube_shorts.pages(means, "many", "25 forgotten"))
    flat = [name for page in found(whole) for name in page]
    assert [name for page in found(again) for name in page] == flat[25:]
    assert again[-1].more is False


def test_no_results_is_an_end_and_an_empty_answer_is_a_wall(means: Means, youtube: Site) -> None:
    assert list(youtube_shorts.pages(means, "nothing", "")) == [Page(more=False)]
    assert list(youtube_shorts.pages(means, "#nothing", "")) == [Page(more=False)]
    for word in ("many", "#many"):
        youtube.raise_wall(word, after=20)
        pages = list(youtube_shorts.pages(means, word, ""))
        assert [len(page.candidates) for page in pages] == [20, 0]
        assert (pages[1].wall, pages[1].more) == ("soft_block", True)
        youtube.raise_wall(word)
        assert [page.wall for page in youtube_shorts.pages(means, word, "")] == ["soft_block"]


@pytest.mark.parametrize("word", ["many", "#many"])
def test_too_many_requests_ends_the_search_at_once_with_the_hosts_own_words(means: Means, youtube: Site, word: str) -> None:
    youtube.throttle(None, retry_after=7, kinds=["search_api", "search_page"])
    with pytest.raises(HTTPError) as caught:
        list(youtube_shorts.pages(means, word, ""))
    failure = youtube_shorts.classify(caught.value)
    assert (failure.kind, failure.permanent, failure.wall, failure.retry_after_s) == ("throttled", False, True, 7.0)
    assert youtube.hits["search_api"] + youtube.hits["search_page"] == 1, "yt-dlp's own second tries are off"


def test_robots_is_obeyed(means: Means, youtube: Site) -> None:
    youtube.set_robots("User-agent: *\nDisallow: /youtubei/\n")
    with pytest.raises(Refused, match="robots"):
        list(youtube_shorts.pages(means, "many", ""))
    tags = youtube_shorts.pages(means, "#many", "")
    assert len(next(tags).candidates) == PAGE_ITEMS, "the page itself is allowed"
    with pytest.raises(Refused, match="robots"):
        next(tags)
    assert (youtube.hits["search_api"], youtube.hits["search_page"]) == (0, 1)


def test_a_stop_ends_the_search(work: Work, youtube: Site) -> None:
    stop = threading.Event()
    pages = youtube_shorts.pages(Means(work, stop), "many", "")
    next(pages)
    stop.set()
    with pytest.raises(Stopped):
        next(pages)
    assert youtube.hits["search_api"] == 1


def test_each_request_waits_for_its_turn(means: Means, youtube: Site) -> None:
    youtube.set_robots("User-agent: *\nCrawl-delay: 0.2\n")
    list(youtube_shorts.pages(means, "#many", ""))
    times = [at_s for at_s, host, path, _ in youtube.log if host == "www.youtube.com" and path != "/robots.txt"]
    assert len(times) == 3, "the tag's page, and two answers more"
    assert all(after - before > 0.15 for before, after in itertools.pairwise(times))


def test_the_lister_stops_at_the_quota_and_keeps_the_place(work: Work, youtube: Site, shelf: Path) -> None:
    work.frontier.ask("begin", ["many"], ("end", "quota"))
    Lister(work).work()
    stats = work.frontier.ask("stats")
    assert [(q.word, q.state, q.outcome, q.found) for q in stats.queries] == [("many", "ended", "quota", 25)]
    assert youtube.hits["search_api"] == 2, "the third answer is not asked for"
    lease = work.frontier.ask("lease", "me", 30)
    assert {job.id for job in lease.jobs} <= {f"youtube:{name}" for name in ids(shelf)}
    assert {job.platform for job in lease.jobs} == {"youtube_shorts"}


def test_ids_are_eleven_characters_and_differ() -> None:
    names = {video_id(str(10**18 + n)) for n in range(2_000)}
    assert len(names) == 2_000
    assert all(youtube_shorts.canonical(youtube_shorts.post_url(name)) == name for name in names)
