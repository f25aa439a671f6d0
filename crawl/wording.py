"""How lengths of time, numbers of posts and sizes are said to a person."""

from __future__ import annotations


def span(seconds: float) -> str:
    """A length of time as people say it: '40 s', '12 min', '3.5 h', '2.4 days'."""
    for unit_s, name in ((86_400.0, "days"), (3_600.0, "h")):
        if seconds >= 1.5 * unit_s:
            return f"{seconds / unit_s:.1f} {name}"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def say_posts(number: int) -> str:
    """'1 post', '2 posts'."""
    return f"{number:,} post{'s' if number != 1 else ''}"


def gigabytes(number: float) -> str:
    """A size in GB, or in MB where it is small."""
    return f"{1000 * number:.0f} MB" if number < 1 else f"{number:.1f} GB" if number < 10 else f"{number:,.0f} GB"
