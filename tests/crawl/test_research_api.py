"""TikTok's research API against its replica: spans, pages, tokens, quota, errors, and no secret and no name anywhere."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from crawl.platforms import research_api
from crawl.platforms.research_api import KEY, SECRET, TOKEN
from crawl.replica import catalogue, research
from crawl.replica.site import Site, serve
from crawl.run import check, crawl
from svmbench.errors import BadInput, BadSettings, Blocked
from svmbench.fleet import Fleet
from svmbench.progress import Progress, Summary
from svmbench.recipe import Recipe, parse
from svmbench.records import Drop, Post
from svmbench.store import RunFolder

DAY_S = 86_400
FIRST = int(datetime(2026, 1, 1, 12, tzinfo=timezone.utc).timestamp())
SECRETS = (research.TOKEN, research.KEY, research.SECRET, "clt.")


def recipe(words: list[str] | None = None, **search: Any) -> Recipe:
    values = {
        "platform": "research_api",
        "site": "replica",
        "words": words or ["travel"],
        "since": "2026-01-01",
        "until": "2026-03-31",
        "posts_per_word": 1_000,
    }
    pace = {"pages_per_s": 80, "attempts": 4}
    return parse({"name": "t", "search": {**values, **search}, "pace": pace, "robots": "obey"}, "t")


def go(plan: Recipe, run: RunFolder, site: Site) -> tuple[Summary, Summary]:
    progress = Progress(quiet=True)
    try:
        with Fleet(local=True) as fleet:
            crawl(plan, run, fleet, progress, site.access)
    finally:
        assert_no_secret(run)
    search, fetch = progress.summaries
    return search, fetch


def assert_no_secret(run: RunFolder) -> None:
    """In no file of the run, the frontier included."""
    for path in run.path.rglob("*"):
        if path.is_file():
            text = path.read_bytes()
            assert not [s for s in SECRETS if s.encode() in text], path


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, research.TOKEN)
    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.delenv(SECRET, raising=False)


@pytest.fixture
def with_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN)
    monkeypatch.setenv(KEY, research.KEY)
    monkeypatch.setenv(SECRET, research.SECRET)


@pytest.fixture(scope="module")
def spread(site_catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """270 'travel' posts, three a day for 90 days from 2026-01-01, and 'trouble', one post of each fate, on the second day."""
    shelf = tmp_path_factory.mktemp("spread")
    known = catalogue.read(site_catalogue)
    model = next(r for r in known if r.words == ("travel",))
    rows = [
        replace(
            model,
            post_id=str(int(model.post_id) + 1_000 + n),
            created=FIRST + n // 3 * DAY_S + n,
            likes=9_990 + n,
            author=f"maker.{n % 7}",
        )
        for n in range(270)
    ]
    rows += [replace(r, created=FIRST + DAY_S) for r in known if r.words == ("trouble",)]
    catalogue.write(shelf, rows)
    (shelf / "media").symlink_to(site_catalogue / "media")
    return shelf


@pytest.fixture
def api(spread: Path) -> Iterator[Site]:
    with serve(spread) as running:
        yield running


def test_a_span_is_searched_in_pieces_and_every_post_is_recorded_without_a_file(api: Site, spread: Path, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    search, fetch = go(recipe(["travel", "trouble"], likes_min=10_000), run, api)
    rows = [r for r in catalogue.read(spread) if r.fate not in research.GONE]
    assert search.seen == len(rows)
    assert dict(search.dropped) == {"too_few_likes": 10}
    assert (fetch.kept, fetch.left, fetch.failed.total()) == (len(rows) - 10, 0, 0)
    assert search.balanced()
    assert fetch.balanced()
    posts = {p.post_id: p for p in run.read(Post, "posts")}
    assert {p.sha256 for p in posts.values()} == {None}
    assert {p.platform for p in posts.values()} == {"tiktok"}
    row = next(r for r in rows if r.likes == 10_000)
    post = posts[row.post_id]
    assert (post.likes, post.likes_exact, post.track_id, post.duration_s) == (10_000, True, row.track_id, 1.0)
    assert (post.hashtags, post.views, post.saves, post.words) == (row.hashtags, 120_000, 500, ("travel",))
    assert post.posted_at == datetime.fromtimestamp(row.created, timezone.utc).isoformat()
    assert post.url == f"https://www.tiktok.com/@_/video/{row.post_id}"
    assert len({p.author_hash for p in posts.values() if p.words == ("travel",)}) == 7
    assert {d.id for d in run.read(Drop, "drops")} == {f"tiktok:{r.post_id}" for r in rows if r.likes < 10_000}
    text = b"".join(p.read_bytes() for p in run.path.rglob("*") if p.is_file())
    assert b"maker." not in text, "a user's name leaves the module only as a hash"
    # Three pieces of at most 31 days, both ends counted, for each word: 93, 93 and 84 posts. One more after a 500.
    assert api.hits["research_query"] == 3 + 3 + 1
    assert api.hits["video_page"] == api.hits["media"] == api.hits["research_token"] == 0


def test_pages_within_a_piece_and_a_hashtag(api: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(research_api, "PAGE_ITEMS", 20)
    run = RunFolder.create(tmp_path / "run")
    search, _ = go(recipe(["#travel"], until="2026-01-31"), run, api)
    assert search.seen == 93
    assert api.hits["research_query"] == 5
    assert {p.words for p in run.read(Post, "posts")} == {("#travel",)}


def test_the_end_of_the_days_quota_is_a_wall_and_the_next_day_goes_on(
    api: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(research_api, "PAGE_ITEMS", 20)
    run = RunFolder.create(tmp_path / "run")
    api.raise_wall("travel", after=40)
    search, fetch = go(recipe(["travel", "demo"]), run, api)
    assert (search.seen, fetch.kept) == (40, 40)
    assert any("used up; run the same command again after 00:00 UTC" in note for note in search.notes)
    assert api.hits["research_query"] == 3, "the other word is not asked for: the quota is the client's"
    api.lift_wall("travel")
    api.raise_wall(research.REVOKED)
    api.lift_wall(research.REVOKED)  # by tomorrow the API has forgotten the search
    search, fetch = go(recipe(["travel", "demo"]), run, api)
    assert (search.seen, fetch.kept, fetch.left) == (270, 270, 0)
    assert search.notes == []
    assert len(run.read(Post, "posts")) == 270


def test_no_post_at_all_before_the_quota_ends(api: Site, tmp_path: Path) -> None:
    api.raise_wall("travel", after=0)
    with pytest.raises(Blocked, match=r"no post was found\. travel: blocked \(the day's requests"):
        go(recipe(), RunFolder.create(tmp_path / "run"), api)


@pytest.mark.usefixtures("with_key")
def test_a_key_gives_tokens_and_a_new_one_when_the_old_is_refused(
    api: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(research_api, "PAGE_ITEMS", 20)
    before = research_api._Api._read
    asked = 0

    def read(self: Any, heard: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 2:
            api.raise_wall(research.REVOKED)  # TikTok ends the token while we search
        return before(self, heard)

    monkeypatch.setattr(research_api._Api, "_read", read)
    run = RunFolder.create(tmp_path / "run")
    search, _ = go(recipe(until="2026-01-31"), run, api)
    assert search.seen == 93
    assert api.hits["research_token"] == 2


@pytest.mark.usefixtures("with_key")
def test_a_token_is_renewed_before_it_ends(api: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(research_api, "EARLY_S", float(research.TOKEN_LIFE_S))  # every token is about to end
    go(recipe(), RunFolder.create(tmp_path / "run"), api)
    assert api.hits["research_token"] == api.hits["research_query"] == 3


def test_a_refused_token_is_one_clear_line(api: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "clt.wrong")
    with pytest.raises(
        BadSettings, match=r"refuses the token of SVMBENCH_RESEARCH_TOKEN \(access_token_invalid\); make a new one"
    ) as e:
        go(recipe(), RunFolder.create(tmp_path / "run"), api)
    assert "clt.wrong" not in str(e.value)
    assert api.hits["research_query"] == 1


@pytest.mark.usefixtures("with_key")
def test_a_refused_key_is_one_clear_line(api: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, "something else")
    with pytest.raises(
        BadSettings, match=r"refuses SVMBENCH_RESEARCH_KEY and SVMBENCH_RESEARCH_SECRET \(invalid_client\)"
    ) as raised:
        go(recipe(), RunFolder.create(tmp_path / "run"), api)
    assert "something else" not in str(raised.value)


def test_a_server_in_trouble_is_asked_again_and_then_given_up(api: Site, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    api.throttle(None, None, kinds=["research_query"], status=502)
    with pytest.raises(Blocked, match=r"travel: server_error \(HTTP 502\)"):
        go(recipe(), run, api)
    assert api.hits["research_query"] == 4, "as often as the recipe says"
    api.throttle(0)
    search, _ = go(recipe(), run, api)
    assert search.seen == 270


def test_retry_after_is_obeyed(api: Site, tmp_path: Path) -> None:
    api.throttle(None, 2, kinds=["research_query"])

    def lift() -> None:
        while not api.hits["throttled"]:
            time.sleep(0.02)
        api.throttle(0)

    lifter = threading.Thread(target=lift)
    lifter.start()
    search, _ = go(recipe(until="2026-01-31"), RunFolder.create(tmp_path / "run"), api)
    assert search.seen == 93
    at = [at_s for at_s, _, target, _ in api.log if target.startswith("/v2/research")]
    assert at[1] - at[0] >= 2.0
    assert len(at) == 2
    lifter.join()


def test_what_the_api_finds_wrong_is_told_in_its_words(api: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(research_api, "FIELDS", ("id", "shoe_size"))
    with pytest.raises(Blocked, match=r"travel: invalid_params \(Invalid fields: shoe_size\)"):
        go(recipe(), RunFolder.create(tmp_path / "run"), api)
    assert api.hits["research_query"] == 1, "asking again cannot help"


def test_an_answer_that_makes_no_progress_does_not_go_round_for_ever(tmp_path: Path) -> None:
    class Stuck:
        recipe = recipe()

        def ask(self, request: Any) -> Any:
            from crawl.means import Heard

            answer = {"data": {"videos": [], "cursor": 0, "has_more": True, "search_id": "1"}, "error": {"code": "ok"}}
            return Heard(200, {}, json.dumps(answer).encode())

    means: Any = Stuck()
    with pytest.raises(Exception, match="stalled: has_more, and no progress beyond 0"):
        list(research_api.pages(means, "travel", ""))


def test_nothing_found_is_said(api: Site, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no post was found; try other words\. unheard of: empty"):
        go(recipe(["unheard of"]), RunFolder.create(tmp_path / "run"), api)


@pytest.mark.parametrize(
    ("search", "says"),
    [
        ({"since": None}, r"search\.since, search\.until: the research API searches a span of days"),
        ({"until": None}, r"search\.since, search\.until"),
        ({"until": "2025-12-31"}, r"search\.until: 2025-12-31 is before search\.since, 2026-01-01"),
    ],
)
def test_a_span_is_needed(search: dict[str, Any], says: str) -> None:
    with pytest.raises(BadSettings, match=says):
        check(recipe(**search))


def test_a_token_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    check(recipe())
    monkeypatch.delenv(TOKEN)
    monkeypatch.setenv(KEY, "a key alone")
    with pytest.raises(BadSettings, match="needs SVMBENCH_RESEARCH_TOKEN, or SVMBENCH_RESEARCH_KEY and SVMBENCH_RESEARCH_SECRET"):
        check(recipe())


def test_the_token_is_in_no_log_and_no_output(
    api: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with Fleet(local=True) as fleet:
        crawl(recipe(), RunFolder.create(tmp_path / "run"), fleet, Progress(), api.access)
    out, err = capfd.readouterr()
    assert not [s for s in SECRETS if s in caplog.text + out + err]
