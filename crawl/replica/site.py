"""Starts the embedded platform: a site on loopback under the platform's real host names, for the crawler's real parts.

    with serve(catalogue) as site:
        crawl with site.access

The site runs in a process of its own, so that it does not share the crawler's interpreter, and dies with the one that started it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from crawl.access import Access
from svmbench.errors import BadInput, SiteError

# Isolated from the folder in which the user stands, which may hold packages with our names; the path is the starter's own.
BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from crawl.replica.server import main; main()"


class Site:
    """A running site. Its counters are asked over the control channel and are exact at the time of asking."""

    def __init__(self, port: int, access: Access) -> None:
        self.port, self.access = port, access
        self._direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @property
    def hits(self) -> Counter[str]:
        """How often each kind of thing was asked for.

        Kinds: search_page, search_api, tag_api, video_page, player_api, media, music, research_token, research_query,
        research_other, robots, login, disallowed, other, plain_http, foreign.
        'throttled' counts those among them that got a 429, 'defect' the site's own failures.
        """
        return Counter(self._ask("/hits"))

    @property
    def log(self) -> list[tuple[float, str, str, int]]:
        """(monotonic time in s at which it came, host, path with query, status) of every request, oldest first."""
        return sorted((at_s, host, target, status) for at_s, host, target, status in self._ask("/log"))

    def raise_wall(self, word: str, after: int = 0) -> None:
        """From now on the search for this word meets a captcha after so many posts."""
        self._ask("/wall?" + urlencode({"word": word, "after": after}))

    def lift_wall(self, word: str) -> None:
        """No captcha for this word any more."""
        self._ask("/wall?" + urlencode({"word": word}))

    def throttle(
        self,
        seconds: float | None,
        retry_after: str | int | None = 1,
        *,
        kinds: Sequence[str] = (),
        host: str = "",
        status: int = 429,
    ) -> None:
        """For so long (None: until told otherwise, 0: no longer) every request is refused with this status.

        retry_after: the header's text, seconds or an HTTP date; None sends none. kinds: see `hits`; only these. host: only this.
        """
        wait = None if retry_after is None else str(retry_after)
        self._order("throttle", seconds=seconds, retry_after=wait, kinds=list(kinds), host=host, status=status)

    def set_robots(self, text: str | None, status: int = 200, *, location: str | None = None, host: str = "") -> None:
        """The robots.txt of a host, or of all that have none of their own; None: the site's own again. location: with a 3xx."""
        self._order("robots", text=text, status=status, location=location, host=host)

    def tag(self, *values: str, kinds: Sequence[str] = ()) -> None:
        """Answers carry X-Robots-Tag, one header a value; without values none any more. kinds: see `hits`; only these."""
        self._order("tag", values=values, kinds=list(kinds))

    def _order(self, what: str, **values: Any) -> None:
        self._ask("/order?" + urlencode({"what": what, "values": json.dumps(values)}))

    def _ask(self, target: str) -> Any:
        try:
            with self._direct.open(f"http://127.0.0.1:{self.port}{target}", timeout=30) as answer:
                return json.load(answer)
        except OSError as error:
            raise SiteError(
                f"the embedded platform on port {self.port} does not answer ({error}); start the command again"
            ) from error


@contextmanager
def serve(
    catalogue: Path, *, port: int = 0, requests_per_s: float | None = None, latency_s: float = 0.0, page_bytes: int = 0
) -> Iterator[Site]:
    """Serves a catalogue folder on 127.0.0.1; port 0 takes a free one.

    requests_per_s: pages and searches beyond this rate (after a burst of 5) get 429. latency_s: added to every answer.
    page_bytes: the pages of posts are filled up to so many.
    Raises BadInput if there is no catalogue, SiteError if the port is taken.
    """
    if not (catalogue / "listings.jsonl").is_file():
        raise BadInput(f"{catalogue} is not a catalogue: it has no listings.jsonl")
    with tempfile.TemporaryDirectory(prefix="svmbench-site-", ignore_cleanup_errors=True) as folder:
        order = {
            "folder": folder,
            "catalogue": str(catalogue.resolve()),
            "port": port,
            "requests_per_s": requests_per_s,
            "latency_s": latency_s,
            "page_bytes": page_bytes,
        }
        with _process(order, Path(folder)) as ready:
            access = Access(
                proxy_url=f"http://127.0.0.1:{ready['port']}", spki_pin=ready["pin"], ca_file=str(Path(folder, "ca.pem"))
            )
            yield Site(ready["port"], access)


@contextmanager
def _process(order: dict[str, Any], folder: Path) -> Iterator[dict[str, Any]]:
    """The site's process while it serves; gives what it said when it was ready.

    It has a session of its own, so that ctrl-C reaches the crawler alone, which then drains and ends the site.
    """
    path = json.dumps([str(Path(__file__).parents[2]), *sys.path])
    command = [sys.executable, "-I", "-c", BOOT, path, json.dumps(order)]
    with (folder / "errors.txt").open("wb") as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True)
    assert process.stdin
    assert process.stdout
    try:
        line = process.stdout.readline()
        if not line:
            last = (folder / "errors.txt").read_text().strip().splitlines()[-1:] or ["no reason given"]
            raise SiteError(f"the embedded platform did not start: {last[0]}")
        ready = json.loads(line)
        if "error" in ready:
            raise SiteError(f"the embedded platform cannot listen on port {order['port']} ({ready['error']}); choose another")
        yield ready
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
