"""What the reasons of a crawl mean and what can be done about them, in plain words: for `svmbench crawl status`, `failures`."""

from __future__ import annotations

import re
from dataclasses import dataclass

RECIPE = "change the recipe and crawl into a new folder, if the rule is not meant"
NOTHING = "nothing"
RETRY = "try again later: svmbench crawl retry RUN --reason {reason}"
WAIT = "wait some hours, ask more slowly (pace.pages_per_s), then: svmbench crawl retry RUN --reason {reason}"
OPERATOR = "this is a wall: svmbench stops there; ask the site for access, or use another platform"
MEND = "update svmbench and yt-dlp; if it stays, the platform's module needs mending"


@dataclass(frozen=True, slots=True)
class Reason:
    """meaning: what happened. remedy: what can be done, with RUN and {reason} to be filled in."""

    meaning: str
    remedy: str


# Why a post was left out by a rule of the recipe, of the site or of its owner.
RULES = {
    "too_few_likes": Reason("fewer likes than search.likes_min, counted exactly", RECIPE),
    "likes_unknown": Reason("the platform does not tell its likes, so it cannot pass search.likes_min", RECIPE),
    "too_short": Reason("shorter than search.duration_min_s", RECIPE),
    "too_long": Reason("longer than search.duration_max_s", RECIPE),
    "slideshow": Reason("pictures with music, not a video", NOTHING),
    "original_sound": Reason("the uploader's own sound, which search.original_sound: drop leaves out", RECIPE),
    "too_early": Reason("posted before search.since", RECIPE),
    "too_late": Reason("posted after search.until", RECIPE),
    "not_an_id": Reason("a row of the list that is no id and no link", "correct the row in the list"),
    "opted_out": Reason("its owner asked to be left out (optout)", NOTHING),
    "robots": Reason("robots.txt asks crawlers to stay away from its page", NOTHING),
    "x_robots_tag": Reason("its answer carries X-Robots-Tag, which asks collectors of data to stay away", NOTHING),
}

# Why a post could not be fetched.
FAILURES = {
    "private": Reason("the post is private", NOTHING),
    "private_account": Reason("its account is private", NOTHING),
    "gone": Reason("the post is no longer there", NOTHING),
    "classified": Reason("shown only to people who have logged in and are old enough", NOTHING),
    "no_video": Reason("nothing with pictures can be fetched", NOTHING),
    "members_only": Reason("shown only to paying members of its channel", NOTHING),
    "region_blocked": Reason("its uploader shows it in other countries only", NOTHING),
    "paid": Reason("shown only to people who pay", NOTHING),
    "live": Reason("a live stream or a premiere, not a clip", NOTHING),
    "drm": Reason("its streams are encrypted", NOTHING),
    "not_ready": Reason("the site is still preparing it", RETRY),
    "no_formats": Reason("the site gave no stream that can be fetched; if many end so, it has closed this way to all", MEND),
    "no_ffmpeg": Reason("picture and sound came apart, and there is no ffmpeg to join them", "install ffmpeg, then retry"),
    "throttled": Reason("the host asked for a pause (429 or 503)", WAIT),
    "blocked": Reason("the host refuses this address of the network", WAIT),
    "forbidden": Reason("the host refused the page (403)", WAIT),
    "login_wall": Reason("the host wants a log-in", OPERATOR),
    "captcha": Reason("the host wants a captcha solved", OPERATOR),
    "challenge": Reason("the host wants a puzzle solved that only a browser can", WAIT),
    "bot_check": Reason("the host wants proof that no machine is asking", OPERATOR),
    "no_data": Reason("the page came without the post's data, which is how some walls look", WAIT),
    "media_401": Reason("the media's host refused the link (401)", RETRY),
    "media_403": Reason("the media's host refused the link (403)", RETRY),
    "media_404": Reason("the media were not where the page said (404)", RETRY),
    "media_410": Reason("the media were taken away (410)", RETRY),
    "redirected": Reason("the page sends visitors elsewhere", RETRY),
    "tls": Reason("no secure connection could be made", "look at the clock and the certificates of this machine, then retry"),
    "timeout": Reason("the host did not answer in time", RETRY),
    "network": Reason("the connection broke or could not be made", RETRY),
    "truncated": Reason("fewer bytes came than were promised", RETRY),
    "empty_file": Reason("a file without content came", RETRY),
    "unreadable": Reason("the file cannot be read", "look at the file and its permissions, then retry"),
    "not_media": Reason("what came is no media file", RETRY),
    "too_large": Reason("the file is larger than svmbench takes", NOTHING),
    "unsupported": Reason("only streams that other programs would fetch, which ask without a turn", NOTHING),
    "unreadable_name": Reason("the file's name is no text", "rename the file"),
    "server_error": Reason("the interface says that it failed", RETRY),
    "extractor": Reason("yt-dlp could not read the page: its extractor is older than the site", MEND),
    "unknown": Reason("yt-dlp says something that svmbench does not know", MEND),
    "worker_lost": Reason("the process that fetched it died each time", RETRY),
}

# How the search of a word ended.
OUTCOMES = {
    "end": Reason("read to its end", NOTHING),
    "quota": Reason("search.posts_per_word was reached", NOTHING),
    "empty": Reason("it finds nothing", "try another word, or other days where the recipe has since and until"),
    "stalled": Reason("the page stopped giving results without saying that it is the end", "run the same command again"),
    "robots": Reason("robots.txt forbids the search page", "write another platform into the recipe, or the reason to ignore it"),
    "page_changed": Reason(
        "no selector matched: the site has changed its page", "mend the platform's data file, see docs/platforms.md"
    ),
    "blocked": Reason("the host was given up after repeated walls", "wait some hours, then run the same command again"),
    "captcha": Reason("the site wants a captcha solved", OPERATOR),
    "login_wall": Reason("the site wants a log-in", OPERATOR),
    "soft_block": Reason("the site shows an error page instead of results", "wait some hours, then run the same command again"),
    "throttled": Reason("the host asked for a pause each time", "wait some hours, then run the same command again"),
    "network": Reason("the page could not be loaded", "run the same command again"),
    "timeout": Reason("the page did not load in time", "run the same command again"),
    "browser_lost": Reason("the browser died", "run the same command again"),
    "unreadable_list": Reason("the list itself cannot be read on", "mend the file"),
}

_HTTP = re.compile(r"http_(\d{3})")
_UNKNOWN = Reason("a reason of the platform's own; the detail says more", RETRY)


def reason_of(name: str) -> Reason:
    """What a post's reason means; a platform's own that is not known here is said to be that."""
    if match := _HTTP.fullmatch(name):
        return Reason(f"the host answered with status {match[1]}", RETRY)
    return RULES.get(name) or FAILURES.get(name) or _UNKNOWN


def outcome_of(name: str) -> Reason:
    """What the end of a word's search means."""
    return OUTCOMES.get(name) or reason_of(name)


def known(name: str) -> bool:
    """Whether the tables here tell what it means."""
    return bool(_HTTP.fullmatch(name)) or name in RULES or name in FAILURES or name in OUTCOMES
