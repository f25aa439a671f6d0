"""The one place where a Retry-After header is read (RFC 9110, section 10.2.3)."""

from __future__ import annotations

from datetime import timezone
from email.utils import parsedate_to_datetime

LONGEST_S = 86_400.0  # ours: nobody who asks for more than a day means it


def retry_after_s(header: str | None, now: float) -> float | None:
    """Seconds to wait, in [0, LONGEST_S]; None where there is no header or nothing to be understood in it.

    header: seconds, or one of the three forms of an HTTP date. now: Unix seconds.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdecimal():
        return min(float(text), LONGEST_S)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if at.tzinfo is None:  # the old form of asctime, which is in UTC as well
        at = at.replace(tzinfo=timezone.utc)
    return min(max(0.0, at.timestamp() - now), LONGEST_S)
