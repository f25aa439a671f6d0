"""The real yt-dlp TikTok extractor on the embedded platform, TLS verified, nothing patched: what each fate comes out as."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yt_dlp
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import DownloadError, ExtractorError

from crawl.replica import catalogue
from crawl.replica.catalogue import FATES, Listing
from crawl.replica.site import Site, serve

# fate -> (what DownloadError carries, a part of its message)
OUTCOMES: dict[str, tuple[type | None, str]] = {
    "private": (ExtractorError, "You do not have permission to view this post"),
    "private_account": (ExtractorError, "You do not have permission to view this post"),
    "gone": (ExtractorError, "Video not available, status code 10215"),
    "blocked": (ExtractorError, "Your IP address is blocked"),
    "login_wall": (ExtractorError, "requiring login"),
    "slideshow": (ExtractorError, "Requested format is not available"),
    "classified": (ExtractorError, "may not be comfortable for some audiences"),
    "no_data": (ExtractorError, "Unexpected response from webpage request"),
    "flaky_503": (HTTPError, "HTTP Error 503"),
    "media_403": (HTTPError, "HTTP Error 403"),
    "truncated_once": (None, "more expected"),
    "truncated": (None, "more expected"),
}
Download = Callable[[Listing], dict[str, Any]]


class Quiet:
    """yt-dlp's messages go nowhere."""

    def debug(self, message: str) -> None:
        """Nothing to say."""

    warning = error = debug


def downloader(site: Site, folder: Path) -> Download:
    """Downloads posts with one YoutubeDL and gives their info dicts."""
    options = {
        "proxy": site.access.proxy_url,
        "compat_opts": {"no-certifi"},
        "cachedir": False,
        "noprogress": True,
        "quiet": True,
        "logger": Quiet(),
        "retries": 0,
        "socket_timeout": 10,
        "format": "bv*[vcodec!=none]+ba/b[vcodec!=none]",
        "outtmpl": f"{folder}/%(id)s.%(ext)s",
    }
    client = yt_dlp.YoutubeDL(options)
    return lambda row: client.extract_info(f"https://www.tiktok.com/@_/video/{row.post_id}")


@pytest.fixture(scope="module")
def shared(site_catalogue: Path) -> Iterator[Site]:
    """One site for this file: each post is used by one test."""
    with serve(site_catalogue) as running:
        yield running


@pytest.fixture
def download(shared: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Download:
    """A fresh YoutubeDL that trusts the site's authority and no other."""
    monkeypatch.setenv("SSL_CERT_FILE", shared.access.ca_file or "")
    return downloader(shared, tmp_path)


def fails(download: Download, row: Listing) -> DownloadError:
    """The error that this post ends in."""
    with pytest.raises(DownloadError) as caught:
        download(row)
    return caught.value


def saved(info: dict[str, Any]) -> bytes:
    """The bytes of the downloaded file."""
    return Path(info["requested_downloads"][0]["filepath"]).read_bytes()


def test_a_good_post(download, shared, site_catalogue):
    row = catalogue.read(site_catalogue)[1]
    before = shared.hits
    info = download(row)
    assert shared.hits - before == {"video_page": 1, "media": 1}
    assert saved(info) == (site_catalogue / row.media).read_bytes()
    assert info["like_count"] == 10_000
    assert {key: info[key] for key in ("id", "uploader", "description", "timestamp", "track", "artists", "duration", "ext")} == {
        "id": row.post_id,
        "uploader": row.author,
        "description": row.caption,
        "timestamp": row.created,
        "track": row.track_title,
        "artists": [row.track_artist],
        "duration": 1,
        "ext": "mp4",
    }


def test_every_fate_has_an_outcome():
    assert set(OUTCOMES) == set(FATES) - {"ok", "challenge"}


@pytest.mark.parametrize("fate", OUTCOMES)
def test_fate(download, shared, by_fate, site_catalogue, fate):
    row, (cause, message) = by_fate[fate], OUTCOMES[fate]
    error = fails(download, row)
    found = error.exc_info[1] if error.exc_info else None
    assert message in str(error)
    assert type(found) is (cause or type(None))
    if fate == "flaky_503":
        assert found.response.headers["Retry-After"] == "1"
    if fate in ("flaky_503", "truncated_once"):
        assert saved(download(row)) == (site_catalogue / row.media).read_bytes()
    else:
        assert message in str(fails(download, row))


def test_the_extractor_solves_the_challenge(download, shared, by_fate, site_catalogue):
    row = by_fate["challenge"]
    before = shared.hits
    assert saved(download(row)) == (site_catalogue / row.media).read_bytes()
    assert (shared.hits - before)["video_page"] == 2


def test_files_of_other_kinds_and_hostile_captions(download, site_catalogue):
    rows = [row for row in catalogue.read(site_catalogue) if row.words == ("files",)]
    assert [Path(row.media or "").suffix for row in rows] == [".webm", ".wav", ".mp4"]
    for row in rows:
        info = download(row)
        assert saved(info) == (site_catalogue / str(row.media)).read_bytes()
        assert info["ext"] == "mp4"
        assert info["description"] == row.caption


def test_an_unknown_post_is_gone(download, by_fate):
    assert "status code 10215" in str(fails(download, catalogue.Listing(**{**_values(by_fate["ok"]), "post_id": "7" * 19})))


def test_without_the_authority_nothing_is_trusted(shared, by_fate, tmp_path, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert "CERTIFICATE_VERIFY_FAILED" in str(fails(downloader(shared, tmp_path), by_fate["ok"]))


def _values(row: Listing) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}
