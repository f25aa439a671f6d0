"""What YouTube's pages and its own API say of a Listing, with the keys that yt-dlp's extractor and ours read."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from html import escape
from typing import TYPE_CHECKING, Any

from crawl.replica.catalogue import Listing
from crawl.replica.documents import document

if TYPE_CHECKING:
    from crawl.replica.youtube_streams import Stream

SITE_HOST = "www.youtube.com"
MEDIA_HOST = "rr1---sn-svmbench.googlevideo.com"
TITLE_MAX = 100  # characters of a title on YouTube
ORDINARY, PROMOTED = "ordinaryVid", "promotedVid"  # ids of the ordinary video and of the advertisement among the Shorts; no posts
CONFIG = {
    "INNERTUBE_CONTEXT": {"client": {"clientName": "WEB", "clientVersion": "2.20260708.00.00", "hl": "en"}},
    "INNERTUBE_CONTEXT_CLIENT_NAME": 1,
    "PLAYER_JS_URL": "/s/player/0a1b2c3d/player_ias.vflset/en_US/base.js",
}
# fate -> playabilityStatus; fates that are not here play.
FATES: dict[str, dict[str, Any]] = {
    "private": {
        "status": "LOGIN_REQUIRED", "reason": "Private video", "sub": "Sign in if you've been granted access to this video",
    },
    "private_account": {
        "status": "UNPLAYABLE", "reason": "Join this channel to get access to members-only content like this video.",
    },
    "gone": {"status": "ERROR", "reason": "Video unavailable", "sub": "This video has been removed by the uploader"},
    "blocked": {
        "status": "UNPLAYABLE", "reason": "Video unavailable",
        "sub": "The uploader has not made this video available in your country",
    },
    "login_wall": {"status": "LOGIN_REQUIRED", "reason": "Sign in to confirm you\u2019re not a bot"},
    "slideshow": {"status": "LIVE_STREAM_OFFLINE", "reason": "Premieres in 3 hours"},
    "classified": {
        "status": "LOGIN_REQUIRED", "reason": "Sign in to confirm your age",
        "sub": "This video may be inappropriate for some users.",
    },
    "challenge": {"status": "UNPLAYABLE", "reason": "This content isn't available, try again later."},
}  # fmt: skip


def video_id(post_id: str) -> str:
    """The 11 characters by which YouTube knows the post."""
    return base64.urlsafe_b64encode(hashlib.blake2b(post_id.encode(), digest_size=9).digest())[:11].decode()


def channel_id(author: str) -> str:
    """'UC' and 22 characters."""
    return "UC" + base64.urlsafe_b64encode(hashlib.blake2b(author.encode(), digest_size=18).digest())[:22].decode()


def apart(post_id: str) -> bool:
    """Whether the post's picture and sound are offered as two streams only."""
    return int(post_id) % 3 == 0


def html(title: str, body: str, **data: Any) -> str:
    """A page with its data as scripts; no text in them can close the element."""
    scripts = f"<script>ytcfg.set({_safe(CONFIG)});</script>"
    scripts += "".join(f"<script>var {name} = {_safe(value)};</script>" for name, value in data.items())
    return document(title, f"<p>{escape(body)}</p>{scripts}")


def _safe(value: Any) -> str:
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def results(word: str, rows: Sequence[Listing], token: str, following: bool) -> dict[str, Any]:
    """A search answer, or one of a tag's page. following: it goes on from another. token: for the next one, '' at the end."""
    tag = word.startswith("#")
    contents = _tag_items(rows) if tag else _search_items(rows)
    if token:
        command = {"continuationCommand": {"token": token}}
        contents.append({"continuationItemRenderer": {"continuationEndpoint": command}})
    if following:
        where = "onResponseReceivedActions" if tag else "onResponseReceivedCommands"
        return {where: [{"appendContinuationItemsAction": {"continuationItems": contents}}]}
    columns = {"primaryContents": {"sectionListRenderer": {"contents": contents}}}
    return {"estimatedResults": str(len(rows)), "contents": {"twoColumnSearchResultsRenderer": columns}}


def _search_items(rows: Sequence[Listing]) -> list[Any]:
    """A shelf of Shorts, then single cards of Shorts, then the ordinary video."""
    if not rows:
        return [_nothing()]
    shelf = {"gridShelfViewModel": {"contents": [_lockup(row) for place, row in enumerate(rows) if place % 4 < 3]}}
    single = [_short_card(row) for place, row in enumerate(rows) if place % 4 == 3]
    return [{"itemSectionRenderer": {"contents": [_advertisement(), shelf, *single, _ordinary_card()]}}]


def _tag_items(rows: Sequence[Listing]) -> list[Any]:
    """Cards of both kinds side by side, then the ordinary video."""
    if not rows:
        return [_nothing()]
    cards = [_short_card(row) if place % 4 == 3 else _lockup(row) for place, row in enumerate(rows)]
    return [{"richItemRenderer": {"content": card}} for card in (*cards, _ordinary_card())]


def _nothing() -> dict[str, Any]:
    return {"itemSectionRenderer": {"contents": [{"messageRenderer": {"text": _text("No results found")}}]}}


def tag_page(answer: dict[str, Any]) -> dict[str, Any]:
    """The same cards as the Shorts tab of a tag's page; an answer without content stays one."""
    if "contents" not in answer:
        return answer
    sections = answer["contents"]["twoColumnSearchResultsRenderer"]["primaryContents"]["sectionListRenderer"]
    tab = {"tabRenderer": {"selected": True, "title": "Shorts", "content": {"richGridRenderer": sections}}}
    return {"contents": {"twoColumnBrowseResultsRenderer": {"tabs": [tab]}}}


def _lockup(row: Listing) -> dict[str, Any]:
    name = video_id(row.post_id)
    return {
        "shortsLockupViewModel": {
            "entityId": f"shorts-shelf-item-{name}",
            "onTap": {"innertubeCommand": {"reelWatchEndpoint": {"videoId": name}}},
            "overlayMetadata": {
                "primaryText": {"content": row.caption[:TITLE_MAX]},
                "secondaryText": {"content": f"{row.likes * 12} views"},
            },
        }
    }


def _short_card(row: Listing) -> dict[str, Any]:
    return _short(video_id(row.post_id), row.caption[:TITLE_MAX], round(row.duration_s))


def _advertisement() -> dict[str, Any]:
    layout = {"inFeedAdLayoutRenderer": {"renderingContent": _short(PROMOTED, "Buy this", 15)}}
    return {"adSlotRenderer": {"fulfillmentContent": {"fulfilledLayout": layout}}}


def _short(name: str, title: str, seconds: int) -> dict[str, Any]:
    card = _card(name, title, seconds, f"/shorts/{name}")
    card["thumbnailOverlays"] = [{"thumbnailOverlayTimeStatusRenderer": {"style": "SHORTS", "text": _text("SHORTS")}}]
    return {"videoRenderer": card}


def _ordinary_card() -> dict[str, Any]:
    return {"videoRenderer": _card(ORDINARY, "An ordinary video", 61 * 60, f"/watch?v={ORDINARY}")}


def _card(name: str, title: str, seconds: int, path: str) -> dict[str, Any]:
    return {
        "videoId": name,
        "title": _text(title),
        "lengthText": _text(f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"),
        "navigationEndpoint": {"commandMetadata": {"webCommandMetadata": {"url": path}}},
    }


def player(name: str, listing: Listing | None, streams: Iterable[Stream] | None) -> dict[str, Any]:
    """The player's answer; streams None: as it stands in the watch page, without any."""
    fate = listing.fate if listing else "gone"
    answer: dict[str, Any] = {"playabilityStatus": _playability(fate), "videoDetails": {"videoId": name}}
    if listing is None or fate == "gone":
        return answer
    title, text = listing.caption[:TITLE_MAX], listing.caption[TITLE_MAX:]
    answer["videoDetails"] |= {
        "title": title, "shortDescription": text, "lengthSeconds": str(round(listing.duration_s)),
        "keywords": list(listing.hashtags), "channelId": channel_id(listing.author), "viewCount": str(listing.likes * 12),
        "isLiveContent": fate == "slideshow", "isUpcoming": fate == "slideshow", "isPrivate": fate == "private",
    }  # fmt: skip
    if streams is None:
        answer["microformat"] = {"playerMicroformatRenderer": _microformat(listing)}
    elif fate not in FATES:
        offered = [_format(name, listing, stream) for stream in streams]
        if fate == "no_data":  # as where the site hands streams to its own player alone: formats without addresses
            offered = [{key: value for key, value in form.items() if key != "url"} for form in offered]
        both = [form for form in offered if form["itag"] == 18]
        answer["streamingData"] = {"formats": both, "adaptiveFormats": [form for form in offered if form["itag"] != 18]}
    return answer


def _playability(fate: str) -> dict[str, Any]:
    told = FATES.get(fate, {"status": "OK"})
    status = {key: value for key, value in told.items() if key != "sub"}
    if "sub" in told:
        reason = {"reason": _text(told["reason"]), "subreason": _text(told["sub"])}
        status["errorScreen"] = {"playerErrorMessageRenderer": reason}
    return status


def _microformat(listing: Listing) -> dict[str, Any]:
    return {
        "uploadDate": datetime.fromtimestamp(listing.created, timezone.utc).isoformat(),
        "externalChannelId": channel_id(listing.author),
        "isShortsEligible": True,
        "isFamilySafe": listing.fate != "classified",
        "category": "People & Blogs",
        "lengthSeconds": str(round(listing.duration_s)),
    }


def _format(name: str, listing: Listing, stream: Stream) -> dict[str, Any]:
    codecs = {"both": "avc1.42001E, mp4a.40.2", "video": "avc1.4d401f", "audio": "mp4a.40.2"}[stream.kind]
    size = stream.path.stat().st_size
    form: dict[str, Any] = {
        "itag": stream.itag,
        "url": f"https://{MEDIA_HOST}/videoplayback/{name}/{stream.itag}",
        "mimeType": f'{"audio" if stream.kind == "audio" else "video"}/mp4; codecs="{codecs}"',
        "bitrate": int(size * 8 / max(listing.duration_s, 0.1)),
        "contentLength": str(size),
        "approxDurationMs": str(round(1000 * listing.duration_s)),
        "quality": "tiny" if stream.kind == "audio" else "medium",
    }
    if stream.kind == "audio":
        return {**form, "audioQuality": "AUDIO_QUALITY_MEDIUM", "audioSampleRate": "44100", "audioChannels": 1}
    short_px = min(listing.width_px, listing.height_px)
    return {**form, "width": listing.width_px, "height": listing.height_px, "qualityLabel": f"{short_px}p", "fps": 30}


def watch_data(listing: Listing | None) -> dict[str, Any]:
    """ytInitialData of a watch page: likes, comments and the music."""
    if listing is None:
        return {"contents": {"twoColumnWatchNextResults": {}}}
    name = {"title": _text(listing.author)}
    primary = {
        "title": _text(listing.caption[:TITLE_MAX]),
        "videoActions": {"menuRenderer": {"topLevelButtons": [_likes(listing)]}},
    }
    contents = [{"videoPrimaryInfoRenderer": primary}, {"videoSecondaryInfoRenderer": {"owner": {"videoOwnerRenderer": name}}}]
    return {
        "contents": {"twoColumnWatchNextResults": {"results": {"results": {"contents": contents}}}},
        "engagementPanels": [_comments(listing), _description(listing)],
    }


def _likes(listing: Listing) -> dict[str, Any]:
    """The label of the button is exact; there is no number in it where nobody likes the post, or likes are hidden."""
    label = f"like this video along with {listing.likes:,} other people" if listing.likes else "I like this"
    button: Any = {"buttonViewModel": {"accessibilityText": label}}
    for key in (
        "defaultButtonViewModel", "toggleButtonViewModel", "toggleButtonViewModel", "likeButtonViewModel", "likeButtonViewModel",
        "segmentedLikeDislikeButtonViewModel",
    ):  # fmt: skip
        button = {key: button}
    return dict(button)


def _comments(listing: Listing) -> dict[str, Any]:
    header = {"engagementPanelTitleHeaderRenderer": {"contextualInfo": _text(f"{listing.likes // 90:,}")}}
    return {"engagementPanelSectionListRenderer": {"panelIdentifier": "engagement-panel-comments-section", "header": header}}


def _description(listing: Listing) -> dict[str, Any]:
    """The panel with the music, where the post has music of others; a post with its own sound has none."""
    items: list[Any] = [{"videoDescriptionHeaderRenderer": {"title": _text(listing.caption[:TITLE_MAX])}}]
    if not listing.track_original:
        card = {
            "title": listing.track_title,
            "subtitle": listing.track_artist,
            "secondarySubtitle": {"content": "An album"},
            "onTap": {"innertubeCommand": {"watchEndpoint": {"videoId": video_id(listing.track_id)}}},
        }
        header = {"richListHeaderRenderer": {"title": _text("Music")}}
        items.append({"horizontalCardListRenderer": {"header": header, "cards": [{"videoAttributeViewModel": card}]}})
    panel = {"structuredDescriptionContentRenderer": {"items": items}}
    return {
        "engagementPanelSectionListRenderer": {"panelIdentifier": "engagement-panel-structured-description", "content": panel}
    }


def _text(text: str) -> dict[str, Any]:
    return {"simpleText": text}
