"""The parts of a page by which a browser reads it, from a platform's data file, and which of them no longer match.

The data file has groups of CSS selectors that are tried in order: the first that matches is used, all are counted. Under `pages`
stand other kinds of page, each with the beginning of its path and the groups in which it differs. A count is kept under
'card [data-e2e=...]', or 'tag/card [data-e2e=...]' for a kind of page of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

NEEDED = ("list", "card", "card_link", "card_likes")  # groups that every page with results must have
DATA = "listing_paths"  # of the requests in which the page fetches its results; one of them will do


def of_page(selectors: Mapping[str, Any], url: str) -> dict[str, Any]:
    """The selectors for the page at this address; 'page' is the name of its kind, '' for the common one."""
    path = urlsplit(url).path
    for name, own in selectors.get("pages", {}).items():
        if path.startswith(own["path"]):
            return {**selectors, **own, "page": name}
    return {**selectors, "page": ""}


def hit_key(selectors: Mapping[str, Any], group: str, what: str) -> str:
    """Under what the hits of one selector on a page are counted; the browser's script does the same."""
    return f"{selectors['page']}/{group} {what}" if selectors["page"] else f"{group} {what}"


def rotten(selectors: Mapping[str, Any], hits: Mapping[str, int]) -> list[str]:
    """What to mend in the data file, one line each: groups of which nothing matched, then selectors that never matched while
    others of their group did. hits: matches by selector over all pages looked at; what was never looked for is not judged.
    """
    dead_groups: list[str] = []
    dead: list[str] = []
    for page in ("", *selectors.get("pages", {})):
        of_kind = {**selectors, **selectors.get("pages", {}).get(page, {}), "page": page}
        for group in (*NEEDED, DATA):
            counts = {css: hits[key] for css in of_kind.get(group, ()) if (key := hit_key(of_kind, group, css)) in hits}
            if counts and not any(counts.values()):
                dead_groups.append(f"selector {hit_key(of_kind, group, '').strip()}: 0 hits, tried {', '.join(counts)}")
            elif group != DATA:
                dead += [f"selector {hit_key(of_kind, group, css)}: 0 hits" for css, number in counts.items() if not number]
    return dead_groups + dead
