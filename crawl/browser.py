"""One Chromium through Selenium, as a context manager: opens pages, scrolls, and reads what the page itself fetched.

It never goes anywhere that the page does not ask for: the driver's path is explicit (Selenium Manager stays off the net) and the
browser's own background requests are switched off. Each life has a profile folder of its own, removed with it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from crawl.access import Access
from crawl.retry_after import retry_after_s
from svmbench import guard
from svmbench.errors import MissingExtra

PAGE_S = 30.0  # ours: a page that has not loaded by then is given up
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DRIVER = ("chromedriver", "/usr/lib/chromium/chromedriver", "/usr/lib/chromium-browser/chromedriver")
# The second line of features keeps earlier pages, a renderer in reserve and a hidden list of suggestions out of memory:
# 420 MB instead of 495 after four words of 120 posts (PSS with the driver, Chromium 156).
# The window is low, so that a page that fills it by itself asks for no more than one or two listings before it is scrolled.
# The last two: what Chromium asks of its maker's hosts at every start and cannot be switched off goes to a closed port here
# (measured with Chromium 156 behind a logging proxy: no foreign host in 10 s; with a profile folder of ours it would ask more).
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--no-first-run", "--no-default-browser-check",
    "--disable-extensions", "--metrics-recording-only", "--mute-audio", "--window-size=1280,800",
    "--blink-settings=imagesEnabled=false",
    "--disable-features=Translate,OptimizationHints,MediaRouter,InterestFeedContentSuggestions,NetworkTimeServiceQuerying,"
    "BackForwardCache,SpareRendererForSitePerProcess,WebUIOmniboxPopup,WebUIOmniboxAimPopup",
    "--gaia-url=http://127.0.0.1:9/", "--component-updater=url-source=http://127.0.0.1:9/",
)  # fmt: skip

# Arguments: selectors of the page's kind, number of cards read before.
_LOOK = """
const s = arguments[0], from = arguments[1], hits = {}, prefix = s.page ? s.page + '/' : '';
const key = (group, css) => prefix + group + ' ' + css;
let used = '';
function all(group, list) {
  let found = [];
  for (const css of list) {
    const nodes = [...document.querySelectorAll(css)];
    hits[key(group, css)] = nodes.length;
    if (!found.length && nodes.length) { found = nodes; used = css; }
  }
  return found;
}
function within(group, list, ...nodes) {
  let found = null;
  for (const css of list) {
    const x = nodes.map(node => node && node.querySelector(css)).find(Boolean);
    hits[key(group, css)] = (hits[key(group, css)] || 0) + (x ? 1 : 0);
    found = found || x;
  }
  return found;
}
const shown = node => node.checkVisibility({visibilityProperty: true});
const visible = node => { const b = node.getBoundingClientRect(); return shown(node) && b.width > 0 && b.height > 0; };
for (const host of all('consent', s.consent))
  for (const button of (host.shadowRoot || host).querySelectorAll('button'))
    if (button.textContent.toLowerCase().includes(s.consent_decline)) { button.click(); break; }
const walls = Object.keys(s.walls).filter(name => all(name, s.walls[name]).some(visible));
const troubles = Object.keys(s.troubles).filter(name => all(name, s.troubles[name]).some(shown));
const end = all('end', s.end).some(node => visible(node) && node.textContent.trim());
all('list', s.list);
const cards = all('card', s.card), card = used;
const read = cards.slice(from).map(node => {
  const link = within('card_link', s.card_link, node), box = node.parentElement;
  const own = node.matches('a') ? node : link;
  const likes = within('card_likes', s.card_likes, node, box && box.querySelectorAll(card).length == 1 ? box : null);
  return [own ? own.href : '', likes ? likes.textContent : ''];
});
if (cards.length <= from) {  // not past cards that came just now: their listing was the one of this turn
  if (cards.length) cards[cards.length - 1].scrollIntoView();  // also where a part of the page scrolls, not the window
  if (document.body) window.scrollTo(0, document.body.scrollHeight);
}
return {hits: hits, walls: walls, troubles: troubles, end: end, cards: read, url: location.href};
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to the page or to a request of its own. body: None where the browser no longer had it. after_s: Retry-After,
    where the server asked for it. robots_tag: X-Robots-Tag.
    """

    url: str
    status: int
    body: str | None
    after_s: float | None
    robots_tag: str


@dataclass(frozen=True, slots=True)
class View:
    """What stands on the page now.

    cards: (link, text of the like count), from the asked-for place on. walls: obstacles that are final. troubles: those that the
    page may get over by itself. end: the page says that there are no more results. hits: number of matches by selector; for parts
    of a card, the number of the cards of this view that had them.
    """

    cards: tuple[tuple[str, str], ...]
    walls: tuple[str, ...]
    troubles: tuple[str, ...]
    end: bool
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
        self._asked: set[str] = set()  # ids of the requests under way
        self._waiting: dict[str, Answer] = {}  # answers whose body has not arrived, by id

    @property
    def asking(self) -> bool:
        """Whether a wanted request was under way when `answers` was asked last."""
        return bool(self._asked)

    def memory_bytes(self) -> int:
        """PSS of the driver and of all processes below it, so that what they share counts once. Elsewhere than on Linux: USS."""
        total = 0
        with contextlib.suppress(psutil.Error):
            driver = psutil.Process(self._driver.service.process.pid)
            for process in (driver, *driver.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    info = process.memory_full_info()
                    total += getattr(info, "pss", info.uss)
        return total

    def open(self, url: str) -> None:
        """Goes to a page. What an earlier page fetched is forgotten."""
        self._waiting.clear()
        self._asked.clear()
        self._driver.get_log("performance")
        self._driver.get(url)

    def look(self, selectors: Mapping[str, Any], skip_cards: int) -> View:
        """Declines the consent banner, reads the page, and scrolls to its end where no new card is there."""
        seen = self._driver.execute_script(_LOOK, dict(selectors), skip_cards)
        cards = tuple((link, likes) for link, likes in seen["cards"])
        return View(cards, tuple(seen["walls"]), tuple(seen["troubles"]), seen["end"], seen["hits"], seen["url"])

    def answers(self, wanted: Callable[[str], bool]) -> list[Answer]:
        """The finished answers to the page and to its own requests, those whose address is wanted, each once, in order."""
        ready = []
        for entry in self._driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            method, params = message["method"], message["params"]
            number = params.get("requestId", "")
            if method == "Network.requestWillBeSent" and wanted(params["request"]["url"]):
                self._asked.add(number)
            elif method == "Network.responseReceived" and wanted(params["response"]["url"]):
                self._waiting[number] = _head(params["response"])
            elif method == "Network.loadingFailed":
                self._asked.discard(number)
                self._waiting.pop(number, None)
            elif method == "Network.loadingFinished":
                self._asked.discard(number)
                if number in self._waiting:
                    ready.append(replace(self._waiting.pop(number), body=self._body(number)))
        return ready

    def _body(self, number: str) -> str | None:
        try:
            got = self._driver.execute_cdp_cmd("Network.getResponseBody", {"requestId": number})
        except WebDriverException:
            return None  # the page has moved on
        body = str(got["body"])
        return base64.b64decode(body).decode("utf-8", "replace") if got.get("base64Encoded") else body


def _head(response: Mapping[str, Any]) -> Answer:
    headers = {name.lower(): value for name, value in response.get("headers", {}).items()}
    after_s = retry_after_s(headers.get("retry-after"), time.time())
    return Answer(response["url"], response["status"], None, after_s, headers.get("x-robots-tag", "").replace("\n", ","))


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
