"""One Chromium through Selenium, as a context manager: opens pages, scrolls, and reads what the page itself fetched.

It never goes anywhere that the page does not ask for: the driver's path is explicit (Selenium Manager stays off the net) and the
browser's own background requests are switched off. Each life has a profile folder of its own, removed with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from crawl.access import Access
from svmbench import guard
from svmbench.errors import MissingExtra

PAGE_S = 30.0  # ours: a page that has not loaded by then is given up
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DRIVER = ("chromedriver", "/usr/lib/chromium/chromedriver", "/usr/lib/chromium-browser/chromedriver")
# The last two: what Chromium asks of its maker's hosts at every start and cannot be switched off goes to a closed port here
# (measured with Chromium 156 behind a logging proxy: no foreign host in 10 s; with a profile folder of ours it would ask more).
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--no-first-run", "--no-default-browser-check",
    "--disable-extensions", "--metrics-recording-only", "--mute-audio", "--window-size=1280,1600",
    "--blink-settings=imagesEnabled=false",
    "--disable-features=Translate,OptimizationHints,MediaRouter,InterestFeedContentSuggestions,NetworkTimeServiceQuerying",
    "--gaia-url=http://127.0.0.1:9/", "--component-updater=url-source=http://127.0.0.1:9/",
)  # fmt: skip

_LOOK = """
const s = arguments[0], from = arguments[1], hits = {};
function all(name, list) {
  let found = [];
  for (const css of list) {
    const nodes = [...document.querySelectorAll(css)];
    hits[name + ' ' + css] = nodes.length;
    if (!found.length) found = nodes;
  }
  return found;
}
const first = (node, list) => { for (const css of list) { const x = node.querySelector(css); if (x) return x; } return null; };
const visible = node => { const b = node.getBoundingClientRect(); return b.width > 0 && b.height > 0; };
for (const host of all('consent', s.consent))
  for (const button of (host.shadowRoot || host).querySelectorAll('button'))
    if (button.textContent.toLowerCase().includes(s.consent_decline)) { button.click(); break; }
const walls = Object.keys(s.walls).filter(name => all(name, s.walls[name]).some(visible));
const error = all('error', s.error).some(visible);
all('list', s.list);
const cards = all('card', s.card);
const read = cards.slice(from).map(card => {
  const link = card.matches('a') ? card : first(card, s.card_link);
  const likes = first(card, s.card_likes) || (card.parentElement && first(card.parentElement, s.card_likes));
  return [link ? link.href : '', likes ? likes.textContent : ''];
});
window.scrollTo(0, document.body.scrollHeight);
return {hits: hits, walls: walls, error: error, cards: read, url: location.href};
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer that the page got to a request of its own. after_s: Retry-After, where the server asked for it."""

    url: str
    status: int
    body: str
    after_s: float | None


@dataclass(frozen=True, slots=True)
class View:
    """What stands on the page now.

    cards: (link, text of the like count), from the asked-for place on. hits: number of matches by selector.
    """

    cards: tuple[tuple[str, str], ...]
    walls: tuple[str, ...]
    error: bool
    hits: dict[str, int]
    url: str


def find_programs() -> tuple[str, str]:
    """Paths of Chromium and chromedriver, from SVMBENCH_CHROMIUM and SVMBENCH_CHROMEDRIVER or the usual places."""
    return _find("SVMBENCH_CHROMIUM", "Chromium", CHROMIUM), _find("SVMBENCH_CHROMEDRIVER", "chromedriver", DRIVER)


def _find(variable: str, name: str, places: tuple[str, ...]) -> str:
    wanted = os.environ.get(variable)
    for place in (wanted,) if wanted else places:
        if path := shutil.which(place):
            return path
    said = f"{variable}={wanted} is not a program" if wanted else f"{name} is not installed"
    raise MissingExtra(f"{said}; apt install chromium chromium-driver, or set {variable} to its path")


class Browser:
    """A running browser; made by `browser`."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self._driver = driver
        self._waiting: dict[str, Answer] = {}

    def open(self, url: str) -> None:
        """Goes to a page. What an earlier page fetched is forgotten."""
        self._waiting.clear()
        self._driver.get_log("performance")
        self._driver.get(url)

    def look(self, selectors: Mapping[str, Any], skip_cards: int) -> View:
        """Declines the consent banner, reads the page, and scrolls to its end."""
        seen = self._driver.execute_script(_LOOK, dict(selectors), skip_cards)
        cards = tuple((link, likes) for link, likes in seen["cards"])
        return View(cards, tuple(seen["walls"]), seen["error"], seen["hits"], seen["url"])

    def answers(self, wanted: Callable[[str], bool]) -> list[Answer]:
        """The finished answers to the page and to its own requests, those whose address is wanted, each once, in order."""
        ready = []
        for entry in self._driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            params = message["params"]
            if message["method"] == "Network.responseReceived" and wanted(params["response"]["url"]):
                response = params["response"]
                headers = {name.lower(): value for name, value in response.get("headers", {}).items()}
                after = headers.get("retry-after", "")
                self._waiting[params["requestId"]] = Answer(
                    response["url"], response["status"], "", float(after) if after.isdigit() else None
                )
            elif message["method"] == "Network.loadingFinished" and params["requestId"] in self._waiting:
                answer = self._waiting.pop(params["requestId"])
                ready.append(Answer(answer.url, answer.status, self._body(params["requestId"]), answer.after_s))
        return ready

    def _body(self, request_id: str) -> str:
        try:
            return str(self._driver.execute_cdp_cmd("Network.getResponseBody", {"requestId": request_id})["body"])
        except WebDriverException:
            return ""  # the page has moved on


@contextmanager
def browser(access: Access, mark: str) -> Iterator[Browser]:
    """Starts a browser and ends it, with all of its processes. mark tells the browsers of a run from others, for `sweep`."""
    chromium, chromedriver = find_programs()
    folder = Path(tempfile.mkdtemp(prefix=f"svmbench-{mark}-"))  # the driver makes the profile in it
    with guard.guarded(f"{mark}/{folder.name}", folder) as env:
        # A session of its own: ctrl-C is for the crawl, which then ends it.
        service = Service(chromedriver, env={**env, "TMPDIR": str(folder)}, popen_kw={"start_new_session": True})
        try:
            driver = webdriver.Chrome(options=_options(chromium, access), service=service)
        except (WebDriverException, OSError) as error:
            reason = " ".join(str(getattr(error, "msg", None) or error).split())[:160]
            raise MissingExtra(
                f"Chromium did not start ({reason}); apt install chromium chromium-driver of the same version"
            ) from error
        driver.set_page_load_timeout(PAGE_S)
        try:
            yield Browser(driver)
        finally:
            with contextlib.suppress(WebDriverException, OSError):
                driver.quit()


def _options(chromium: str, access: Access) -> Options:
    options = Options()
    options.binary_location = chromium
    options.page_load_strategy = "eager"
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    options.add_experimental_option("perfLoggingPrefs", {"enableNetwork": True, "enablePage": False})
    for flag in FLAGS:
        options.add_argument(flag)
    if access.proxy_url:
        options.add_argument(f"--proxy-server={access.proxy_url}")
    if access.spki_pin:
        options.add_argument(f"--ignore-certificate-errors-spki-list={access.spki_pin}")
    return options


def sweep(mark: str) -> None:
    """Ends what is left of this run's browsers on this machine, should a guard have been killed too: processes and profiles."""
    guard.end(f"{mark}/")
    for folder in Path(tempfile.gettempdir()).glob(f"svmbench-{mark}-*"):
        shutil.rmtree(folder, ignore_errors=True)
