"""A Listing as the platform's own JSON: the item that the search and the video page both carry.

Only the keys that a crawler reads are there: those that yt-dlp's TikTok extractor consumes, and the ones beside them that a music
dataset needs (music.id, music.original, textExtra, statsV2).
"""

from __future__ import annotations

import hashlib
from typing import Any

from crawl.replica.catalogue import Listing

SITE_HOST = "www.tiktok.com"
MEDIA_HOST = "v16-webapp-prime.us.tiktok.com"
MUSIC_HOST = "sf16-ies-music.tiktokcdn.com"
# Short side in pixels -> the label in the media key. The extractor knows no other labels.
LABELS = ((360, "360p"), (576, "540p"), (720, "720p"), (1080, "1080p"))


def item(listing: Listing, size_bytes: int | None) -> dict[str, Any]:
    """The item of a listing; size_bytes of its media, None where it has no video."""
    return {
        "id": listing.post_id,
        "desc": listing.caption,
        "createTime": str(listing.created),
        "author": _author(listing),
        "music": _music(listing),
        "challenges": [{"id": tag_id(tag), "title": tag} for tag in listing.hashtags],
        "textExtra": [{"hashtagName": tag, "hashtagId": tag_id(tag), "type": 1} for tag in listing.hashtags],
        "stats": counts(listing),
        "statsV2": {key: str(count) for key, count in counts(listing).items()},
        "isAd": False,
        **_pictures(listing, size_bytes),
    }


def _pictures(listing: Listing, size_bytes: int | None) -> dict[str, Any]:
    if size_bytes is None:
        images = [{"imageWidth": listing.width_px, "imageHeight": listing.height_px} for _ in range(3)]
        return {"imagePost": {"images": images}, "video": {"id": listing.post_id, "width": 0, "height": 0, "duration": 0}}
    short_px = min(listing.width_px, listing.height_px)
    label = next((name for px, name in LABELS if px >= short_px), "1080p")
    rate = int(size_bytes * 8 / max(listing.duration_s, 0.1))
    url = f"https://{MEDIA_HOST}/video/tos/{listing.post_id}/?mime_type=video_mp4&tk=tt_chain_token"
    address = {"Uri": listing.post_id, "UrlKey": f"v09_h264_{label}_{rate}", "DataSize": str(size_bytes), "UrlList": [url]}
    return {
        "video": {
            "id": listing.post_id,
            "width": listing.width_px,
            "height": listing.height_px,
            "duration": round(listing.duration_s),
            "ratio": label,
            "playAddr": url,
            "bitrateInfo": [{"Bitrate": rate, "CodecType": "h264", "PlayAddr": address}],
        }
    }


def _author(listing: Listing) -> dict[str, Any]:
    secret = hashlib.sha256(listing.author.encode()).hexdigest()
    return {
        "id": _digits(listing.author),
        "uniqueId": listing.author,
        "nickname": listing.author,
        "secUid": f"MS4wLjABAAAA{secret}",
        "privateAccount": listing.fate == "private_account",
    }


def _music(listing: Listing) -> dict[str, Any]:
    return {
        "id": listing.track_id,
        "title": listing.track_title,
        "authorName": listing.track_artist,
        "original": listing.track_original,
        "duration": round(listing.track_duration_s),
        "preciseDuration": {"preciseDuration": listing.track_duration_s},
        "playUrl": f"https://{MUSIC_HOST}/obj/{listing.track_id}?mime_type=audio_mpeg",
    }


def counts(listing: Listing) -> dict[str, int]:
    """The likes are the listing's; the other counts follow from them by fixed shares of ours."""
    likes = listing.likes
    return {
        "diggCount": likes,
        "playCount": likes * 12,
        "shareCount": likes // 50,
        "commentCount": likes // 90,
        "collectCount": likes // 20,
    }


def tag_id(tag: str) -> str:
    """The number of a hashtag, the same however it is written."""
    return _digits(tag.casefold())


def _digits(text: str) -> str:
    """A 19-digit id that depends on the text alone."""
    return str(10**18 + int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big"))
