"""The embedded platform in real Chromium."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webdriver import WebDriver

from crawl.access import Access
from crawl.replica import catalogue
from crawl.replica.site import Site, serve

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="Chromium and its driver are not installed"),
]
# The last two keep Chromium from asking for its own account and update hosts.
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--no-first-run", "--disable-extensions",
    "--metrics-recording-only", "--window-size=1280,1600", "--blink-settings=imagesEnabled=false",
    "--disable-features=Translate,OptimizationHints,MediaRouter,InterestFeedContentSuggestions,NetworkTimeServiceQuerying",
    "--gaia-url=http://127.0.0.1:9/", "--component-updater=url-source=http://127.0.0.1:9/",
)  # fmt: skip
LOOK = """scrollTo(0, document.body.scrollHeight);
return [document.getElementById('state')?.textContent, !!document.querySelector('.captcha_verify_container')]"""
CARDS = """return [...document.querySelectorAll('[data-e2e=search_video-item]')].map(card => [card.querySelector('a').href,
card.parentElement.querySelector('[data-e2e=search-card-video-caption]').textContent,
card.parentElement.querySelector('[data-e2e=search-card-like-container] strong').textContent])"""
BANNER = "document.querySelector('tiktok-cookie-banner')"


@contextmanager
def browser(access: Access) -> Iterator[WebDriver]:
    """Chromium that reaches the site and nothing else."""
    options = Options()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--proxy-server={access.proxy_url}", f"--ignore-certificate-errors-spki-list={access.spki_pin}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def visited(site_catalogue: Path) -> Iterator[tuple[Site, WebDriver]]:
    """A site that answers ten requests a second after a burst, and one browser for all tests."""
    with serve(site_catalogue, requests_per_s=10) as site, browser(site.access) as driver:
        yield site, driver


def scroll_until(driver: WebDriver, done: Callable[[str | None, bool], bool]) -> None:
    """Scrolls down until done(state text, captcha shown)."""
    end_s = time.monotonic() + 20
    while not done(*driver.execute_script(LOOK)):
        assert time.monotonic() < end_s, driver.page_source
        time.sleep(0.05)


def test_the_search_scrolls_to_its_end(visited, site_catalogue):
    site, driver = visited
    driver.get("https://www.tiktok.com/search/video?q=travel")
    assert driver.execute_script(f"return {BANNER}.shadowRoot.querySelectorAll('button').length") == 2
    driver.execute_script(f"{BANNER}.shadowRoot.querySelector('button').click()")
    assert driver.execute_script(f"return [document.body.dataset.consent, !{BANNER}]") == ["declined", True]
    scroll_until(driver, lambda state, captcha: state == "No more results")
    rows = [row for row in catalogue.read(site_catalogue) if "travel" in row.words]
    cards = driver.execute_script(CARDS)
    assert [card[:2] for card in cards] == [
        [f"https://www.tiktok.com/@{row.author}/video/{row.post_id}", row.caption] for row in rows
    ]
    assert [card[2] for card in cards[:4]] == ["10K", "10K", "10K", "4.5K"]
    assert site.hits["search_api"] >= 3


def test_an_empty_search_says_so(visited):
    _, driver = visited
    driver.get("https://www.tiktok.com/search/video?q=nothing")
    scroll_until(driver, lambda state, captcha: state == "No more results")
    assert driver.execute_script(CARDS) == []


def test_the_captcha_wall(visited):
    site, driver = visited
    site.raise_wall("travel", after=12)
    driver.get("https://www.tiktok.com/search/video?q=travel")
    scroll_until(driver, lambda state, captcha: captcha)
    assert len(driver.execute_script(CARDS)) == 12
    site.lift_wall("travel")


def test_hostile_captions_stay_text(visited, site_catalogue):
    _, driver = visited
    row = catalogue.read(site_catalogue)[-1]
    driver.get("https://www.tiktok.com/search/video?q=files")
    scroll_until(driver, lambda state, captcha: state == "No more results")
    assert driver.execute_script(CARDS)[2][1] == row.caption
    # The scrolling may have spent what the site allows at once, so the page is asked for until it is served.
    for _ in range(20):
        driver.get(f"https://www.tiktok.com/@{row.author}/video/{row.post_id}")
        caption = driver.execute_script("return document.querySelector('[data-e2e=browse-video-desc]')?.textContent")
        if caption is not None:
            break
        time.sleep(0.2)
    assert caption == row.caption
    assert "svmbench embedded platform" in driver.find_element("tag name", "footer").text


def test_too_many_pages_are_refused_and_the_search_waits_out_the_limit(site_catalogue):
    trouble = "return document.querySelector('[data-e2e=search-error-title]')?.textContent"
    with serve(site_catalogue, requests_per_s=1) as site, browser(site.access) as driver:
        while "search_page" not in refused(site):
            assert site.hits["search_page"] < 50
            driver.get("https://www.tiktok.com/search/video?q=nothing")
        assert driver.execute_script(trouble) == "Something went wrong"
        while not driver.execute_script("return !!document.getElementById('state')"):
            driver.get("https://www.tiktok.com/search/video?q=travel")
        scroll_until(driver, lambda state, captcha: state == "No more results")
        assert len(driver.execute_script(CARDS)) == 30
        assert "search_api" in refused(site)


def refused(site: Site) -> set[str]:
    """The kinds of requests that got a 429."""
    return {"search_api" if "/api/" in target else "search_page" for _, _, target, status in site.log if status == 429}


def test_no_other_host_was_asked_and_no_script_failed(visited):
    """Runs last: over everything that the browser of this file did."""
    site, driver = visited
    assert site.hits["foreign"] == site.hits["defect"] == site.hits["disallowed"] == 0, site.log
    assert [entry for entry in driver.get_log("browser") if "429" not in entry["message"]] == []
