"""From what a platform says of a post to the row of the run's table; the uploader becomes a keyed hash."""

from __future__ import annotations

from datetime import datetime, timezone

from crawl.platforms import Details
from svmbench.optout import author_hash
from svmbench.records import Post


def post_of(details: Details, *, site: str, url: str, secret: bytes, sha256: str | None) -> Post:
    """words stay empty: the frontier knows them, and more may come."""
    return Post(
        platform=site,
        post_id=details.post_id,
        url=url,
        words=(),
        caption=details.caption,
        hashtags=details.hashtags,
        likes=details.likes,
        likes_exact=details.likes is not None,
        track_id=details.track_id,
        track_title=details.track_title,
        track_original=details.track_original,
        duration_s=details.duration_s,
        posted_at=details.posted_at,
        fetched_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        sha256=sha256,
        author_hash=author_hash(details.author_key, secret),
        views=details.views,
        comments=details.comments,
        shares=details.shares,
        saves=details.saves,
    )
