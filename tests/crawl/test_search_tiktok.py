"""TikTok's addresses, answers and captions, and the record of a results page: without a browser."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crawl.browser import View
from crawl.platforms import Candidate, Page, tiktok
from crawl.results import GRACE_S, IDLE_MAX, REFUSALS_MAX, SLOW_S, STALL_S, Results
from crawl.selectors import hit_key, of_page, rotten
from svmbench.errors import BadSettings
from svmbench.optout import OptOut
from svmbench.recipe import Search

ID = "7312345678901234567"
NONE = OptOut()


@pytest.mark.parametrize(
    "link",
    [
        "https://www.tiktok.com/@some.one/video/{id}",
        "https://www.tiktok.com/@some.one/video/{id}?lang=en&is_from_webapp=1#comments",
        "http://tiktok.com/@/video/{id}/",
        "https://www.tiktok.com/@ж%20x/video/{id}",
        "https://www.tiktok.com/@some.one/photo/{id}",
        "https://m.tiktok.com/v/{id}.html?u_code=0",
        "https://m.tiktok.com/v/{id}",
        "https://www.tiktok.com/embed/{id}",
        "https://www.tiktok.com/embed/v2/{id}",
        "https://www.tiktok.com/player/v1/{id}",
        "https://www.tiktok.com/share/video/{id}",
        "https://www.tiktokv.com/share/video/{id}/",
        " https://WWW.TikTok.com/@x/video/{id} ",
    ],
)
def test_a_posts_number_is_read_from_every_kind_of_link(link: str) -> None:
    assert tiktok.canonical(link.format(id=ID)) == ID


@pytest.mark.parametrize(
    "link",
    [
        "https://www.tiktok.com/@some.one",
        "https://www.tiktok.com/@some.one/video/",
        "https://www.tiktok.com/@some.one/video/12a",
        "https://www.tiktok.com/@some.one/video/٣٤",
        "https://www.tiktok.com/@some.one/live",
        "https://www.tiktok.com/music/title-7312345678901234567",
        "https://vm.tiktok.com/ZMabc123/",
        "https://www.tiktok.com.example.org/@x/video/1",
        "https://example.org/@x/video/1",
        "ftp://www.tiktok.com/@x/video/1",
        "https://[www.tiktok.com/@x/video/1",
        ID,
        "",
    ],
)
def test_other_addresses_name_no_post(link: str) -> None:
    assert tiktok.canonical(link) is None


def test_search_addresses() -> None:
    assert tiktok.search_url("night market & food").endswith("/search/video?q=night%20market%20%26%20food")
    assert tiktok.search_url("#夜市") == "https://www.tiktok.com/tag/%E5%A4%9C%E5%B8%82"
    assert tiktok.search_url("#a/b").endswith("/tag/a%2Fb")
    assert tiktok.post_url("123") == "https://www.tiktok.com/@_/video/123"
    assert tiktok.is_listing("https://www.tiktok.com/api/challenge/item_list/?challengeID=1")
    assert not tiktok.is_listing("https://www.tiktok.com/api/challenge/detail/?challengeName=x")


@pytest.mark.parametrize("word", ["#", "# travel", "#two words", "#a#b", "#a/b"])
def test_what_is_no_hashtag_is_refused(word: str) -> None:
    tiktok.check(Search(words=("travel", "#travel", "no #tag")))
    with pytest.raises(BadSettings, match="is not a hashtag"):
        tiktok.check(Search(words=("travel", word)))


def read(answer: Any) -> Page:
    return tiktok.parse("https://www.tiktok.com/api/search/item/full/", answer if isinstance(answer, str) else json.dumps(answer))


ITEM = {"id": ID, "stats": {"diggCount": "12"}, "video": {"duration": 9}, "music": {"original": True}}
READ = Candidate(post_id=ID, likes=12, likes_exact=True, duration_s=9.0, slideshow=False, original=True)


@pytest.mark.parametrize(
    "answer",
    [
        {"status_code": 0, "item_list": [ITEM], "has_more": 1},
        {"statusCode": 0, "itemList": [ITEM], "hasMore": True, "cursor": "30"},
        {"status_code": 0, "data": [{"type": 1, "item": ITEM}, {"type": 4, "user_list": []}, 7], "has_more": 1},
        {"item_list": [ITEM, {"id": None}, {"id": "x1"}, {"id": "٣"}, "text"]},
    ],
)
def test_items_are_found_in_every_shape_of_answer(answer: dict[str, Any]) -> None:
    assert read(answer) == Page(candidates=(READ,), more=True)


def test_what_an_item_lacks_is_not_known() -> None:
    (bare,) = read({"item_list": [{"id": 5, "stats": [], "music": None, "video": "x"}], "has_more": 1}).candidates
    assert bare == Candidate(post_id="5", likes=None, likes_exact=False, slideshow=False, original=None)
    (second,) = read({"item_list": [{"id": "5", "statsV2": {"diggCount": "10001"}}], "has_more": 1}).candidates
    assert (second.likes, second.likes_exact) == (10_001, True)
    for likes in ("many", float("inf"), 10**30, None, {}):
        (odd,) = read({"item_list": [{"id": "5", "stats": {"diggCount": likes}}], "has_more": 1}).candidates
        assert odd.likes is None
    (photos,) = read({"item_list": [{"id": "5", "imagePost": {"images": [{}]}}], "has_more": 1}).candidates
    assert photos.slideshow


@pytest.mark.parametrize(
    "answer",
    ["", "<html>", "[]", "null", {}, {"status_code": 0}, {"status_code": 0, "item_list": [], "has_more": 1},
     {"status_code": 0, "item_list": None, "has_more": 1}, {"status_code": 2483, "item_list": [], "has_more": 0},
     {"statusCode": 10101, "itemList": [], "hasMore": False}, {"statusCode": 0, "itemList": [], "hasMore": True}],
)  # fmt: skip
def test_an_answer_without_content_is_a_soft_block(answer: Any) -> None:
    assert read(answer) == Page(wall="soft_block")


def test_only_the_end_is_the_end() -> None:
    assert not read({"status_code": 0, "item_list": [], "has_more": 0}).more
    assert not read({"statusCode": 0, "hasMore": False}).more
    assert read({"status_code": 0, "item_list": [ITEM]}).more, "it does not say"
    assert read({"type": "verify", "code": "10000"}).wall == "captcha"


def described(**item: Any) -> Any:
    return tiktok.details({"id": ID, "svmbench_item": item})


def test_captions_lose_mentions_and_nothing_else() -> None:
    assert described(desc="hi @some.one_1 🌊👩‍👩‍👧 über #夜市 \u2028 ①").caption == "hi 🌊👩‍👩‍👧 über #夜市 ①"
    text = "🌊🌊 with @Jane Q. Doe 🎵 and @bob"
    start = len(text[: text.index("@Jane")].encode("utf-16-le")) // 2
    mention = {"start": start, "end": start + len("@Jane Q. Doe"), "userUniqueId": "jane"}
    assert described(desc=text, textExtra=[mention]).caption == "🌊🌊 with 🎵 and"
    odd = [
        {"start": -2, "end": 3, "userId": "1"},
        {"start": 0, "end": 5, "userId": "1"},
        {"start": 90, "end": 99, "userId": "1"},
        7,
    ]
    assert described(desc="plain text", textExtra=odd).caption == "plain text"
    half = described(desc="cut \ud83c", textExtra=[{"hashtagName": "x\udf0a"}, {"hashtagName": "x"}, {"hashtagName": "x"}])
    assert (half.caption, half.hashtags) == ("cut \ufffd", ("x\ufffd", "x"))
    assert half.caption.encode()


def test_details_of_an_odd_item_are_unknown() -> None:
    empty = described(stats="x", music=[], author=None, video=3, createTime=10**20, textExtra={})
    assert (empty.likes, empty.duration_s, empty.track_id, empty.author_key, empty.posted_at) == (None,) * 5
    assert described(createTime="1700000000").posted_at == "2023-11-14T22:13:20+00:00"


# -- the record of a page
def page(position: int = 0, **search: Any) -> Results:
    selectors = of_page(tiktok.SELECTORS, "https://www.tiktok.com/search/video?q=x")
    return Results(tiktok, Search(words=("x",), **search), selectors, position, NONE)


def listing(first: int, number: int, *, more: bool = True, likes: int | None = 5) -> Page:
    ids = range(first, first + number)
    return Page(candidates=tuple(Candidate(post_id=str(i), likes=likes, likes_exact=likes is not None) for i in ids), more=more)


def view(*cards: tuple[str, str], **parts: Any) -> View:
    values = {"walls": (), "troubles": (), "end": False, "hits": {}, "url": "https://www.tiktok.com/search/video?q=x"}
    return View(cards, **{**values, **parts})


URL = "https://www.tiktok.com/api/search/item/full/?offset=0"


def test_results_beyond_the_position_are_given_out_once() -> None:
    results = page(position=5)
    results.read(URL, listing(0, 4))
    assert results.fresh() == ([], 5)
    results.read(URL, listing(2, 5))
    found, position = results.fresh()
    assert ([f.post_id for f in found], [f.rank for f in found], position) == (["5", "6"], [5, 6], 7)
    assert results.fresh() == ([], 7)


def test_cards_do_not_move_the_position() -> None:
    results = page()
    results.note(view(("https://www.tiktok.com/@a/video/1", "10.2K"), ("https://www.tiktok.com/@a/video/2", "?")))
    results.read(URL, listing(1, 1, likes=None))
    results.take_cards()
    found, position = results.fresh()
    assert [(f.post_id, f.likes, f.likes_exact) for f in found] == [("1", 10_200, False), ("2", None, False)]
    assert position == 1
    assert results.num_seen == 2


def test_when_a_search_is_over() -> None:
    def ends(results: Results, quiet_s: float = 0.0, asking: bool = False) -> str:
        return results.over(quiet_s, asking)

    assert ends(page()) == ""
    assert ends(page(), STALL_S) == "page_changed"
    assert ends(page(), STALL_S, asking=True) == ""
    assert ends(page(), SLOW_S, asking=True) == "page_changed"
    results = page(posts_per_word=3)
    results.read(URL, listing(0, 2))
    assert (ends(results), ends(results, STALL_S)) == ("", "stalled")
    results.read(URL, listing(2, 2, more=False))
    assert ends(results) == "quota"
    assert len(results.found) == 3
    assert ends(page(position=200)) == "quota"
    for found, outcome in ((0, "empty"), (2, "end")):
        results = page()
        results.read(URL, listing(0, found, more=False))
        assert ends(results) == outcome
    results = page(position=7)
    results.read(URL, Page(more=False))
    assert ends(results) == "end", "there were results once"
    results = page()
    for _ in range(IDLE_MAX + 1):
        assert ends(results) == ""
        results.read(URL, listing(0, 2))
    assert ends(results) == "stalled"


def test_what_a_page_shows_ends_a_search() -> None:
    cases = {
        "captcha": view(walls=("captcha",)),
        "login_wall": view(url="https://www.tiktok.com/login/phone?to=x"),
        "empty": view(end=True),
    }
    for outcome, seen in cases.items():
        results = page()
        results.note(seen)
        assert results.over(0.0, False) == outcome
    results = page()
    results.note(view(troubles=("soft_block",)))
    assert (results.over(0.0, False), results.over(GRACE_S + 0.1, False)) == ("", "soft_block")
    results.note(view())
    assert results.over(GRACE_S + 0.1, False) == "", "it got over it"
    for status, outcome in ((200, ""), (429, "throttled"), (503, "throttled"), (403, "soft_block"), (404, "http_404")):
        results = page()
        results.page_status = status
        assert results.over(0.0, False) == outcome
    results = page()
    results.refusals = REFUSALS_MAX + 1
    assert results.over(0.0, False) == "throttled"
    results.read(URL, listing(0, 1))
    assert results.over(0.0, False) == "", "an answer in between"
    results.refusals = 1
    assert (results.over(1.0, False), results.over(STALL_S, False)) == ("", "throttled")
    results.note(view(troubles=("soft_block",)))
    assert results.over(GRACE_S + 0.1, False) == "throttled", "the page shows its error because it was refused"


def test_opted_out_posts_are_refused_at_once() -> None:
    results = Results(tiktok, Search(words=("x",)), of_page(tiktok.SELECTORS, ""), 0, OptOut(posts=frozenset({"tiktok:1"})))
    results.read(URL, listing(0, 2))
    assert [f.reason for f in results.found.values()] == ["", "opted_out"]


# -- selectors
def test_rot_is_told_by_group_and_by_selector() -> None:
    selectors = {
        "list": ["#l"], "card": [".a", ".b"], "card_link": ["a"], "card_likes": ["b", "i"], "listing_paths": ["/1/", "/2/"],
        "pages": {"tag": {"path": "/tag/", "card": [".t"], "card_likes": []}},
    }  # fmt: skip
    assert rotten(selectors, {}) == [], "nothing was looked for"
    hits = {"list #l": 0, "card .a": 0, "card .b": 9, "card_link a": 9, "card_likes b": 9, "card_likes i": 0, "other x": 0}
    assert rotten(
        selectors, {**hits, "listing_paths /1/": 4, "listing_paths /2/": 0, "tag/card .t": 0, "tag/card_link a": 3}
    ) == [
        "selector list: 0 hits, tried #l",
        "selector tag/card: 0 hits, tried .t",
        "selector card .a: 0 hits",
        "selector card_likes i: 0 hits",
    ]


def test_a_kind_of_page_has_its_own_selectors() -> None:
    tag = of_page(tiktok.SELECTORS, "https://www.tiktok.com/tag/x")
    common = of_page(tiktok.SELECTORS, "https://www.tiktok.com/search/video?q=tag")
    assert (tag["page"], common["page"]) == ("tag", "")
    assert tag["card"] != common["card"]
    assert tag["card_link"] == common["card_link"]
    assert (hit_key(tag, "card", "x"), hit_key(common, "card", "x")) == ("tag/card x", "card x")
