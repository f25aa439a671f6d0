"""The embedded platform under its own name: TikTok's module over the loopback site, so that no composed post is called TikTok's.

`platform: replica` needs no `site:`. Nothing leaves the machine.
"""

from __future__ import annotations

from typing import Any

from crawl.platforms import tiktok
from svmbench.errors import BadSettings
from svmbench.recipe import Search

SITE = "replica"
TERMS = ""  # it is ours
REPLICA = True


def check(search: Search) -> None:
    """BadSettings for `site: live`, and what TikTok's module says."""
    if search.site == "live":
        raise BadSettings("search.site: the platform replica is not on the internet; leave 'site' out")
    tiktok.check(search)


def __getattr__(name: str) -> Any:
    """Everything else is TikTok's."""
    return getattr(tiktok, name)
