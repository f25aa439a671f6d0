"""How names and numbers are written on the page, in Markdown and in CSV. Names come from outside: text and nothing else."""

from __future__ import annotations

import unicodedata

from leaderboard.table import RANKS, Cell, Tier

LIMIT = 120  # characters of a name that are shown; ours
DASH = "–"
DIRECTIONS = {"video_to_music": "Video → music", "music_to_video": "Music → video"}
LABELS = {
    "median_rank": "MedR", "mean_rank": "MeanR", "mrr": "MRR", "normalised_median_rank": "nMedR", "parameters": "Parameters",
    "flops": "FLOPs", "map": "mAP", "top1_accuracy": "Top-1", "accuracy": "Accuracy", "relative_data_scale": "Scale",
    "preferred": "Preferred",
}  # fmt: skip


def shown(value: object, limit: int = LIMIT) -> str:
    """A name as one harmless line: control, direction and line-break characters become U+FFFD, and what is too long is cut."""
    text = str(value)[: limit + 1]
    text = "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def direction(name: str | None) -> str:
    return "direction not stated" if name is None else DIRECTIONS.get(name, shown(name))


def metric(name: str) -> str:
    """The short column head of a metric."""
    return f"R@{name.partition('@')[2]}" if name.startswith("recall@") else LABELS.get(name, shown(name, 24))


def number(name: str, value: float | None) -> str:
    """A metric's value: recalls in percent with one decimal, ranks with one, shares with three."""
    if value is None:
        return DASH
    if name.startswith("recall@"):
        return f"{100 * value:.1f}"
    return f"{value:.1f}" if name in RANKS else f"{value:.3f}"


def interval(name: str, cell: Cell) -> str:
    """The 95 % interval in small: half of its width for shares, both ends for ranks, which are skewed."""
    if cell.low is None or cell.high is None or cell.value is None or cell.high - cell.low < 1e-6:
        return ""
    if name in RANKS:
        return f"{cell.low:.0f}{DASH}{cell.high:.0f}"
    half = (cell.high - cell.low) / 2
    return f"±{100 * half:.1f}" if name.startswith("recall@") else f"±{half:.3f}"


def difference(name: str, value: float) -> str:
    """A signed difference of a metric, in percentage points for recalls."""
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return sign + number(name, abs(value))


def p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def ends(name: str, cell: Cell) -> str:
    """Both ends of the interval in words, for the tooltip and for screen readers."""
    if cell.low is None or cell.high is None:
        return "no interval"
    return f"95 % interval {number(name, cell.low)} to {number(name, cell.high)}"


def tier(found: Tier | None) -> str:
    """The number of the tier."""
    return DASH if found is None or found.number is None else str(found.number)


def tier_reason(found: Tier | None) -> str:
    """Why a row stands in its tier or in none, for the tooltip."""
    if found is None:
        return "no tier was made for this row"
    if found.number is None:
        return shown(found.reason) or "in no tier"
    if found.leads:
        return f"anchor of tier {found.number}: its best row without a failed check"
    return f"not told from {shown(found.anchor, 48)}: adjusted p {p_value(found.p_holm or 0.0)}"


def count(value: float) -> str:
    """12345678 as '12.3 M', 4321 as '4.3 k', 0 as '0'."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.1f}{unit}"
    return f"{value:.0f}"


def seconds(value: float) -> str:
    """A duration: '0.4 s', '12 s', '3.5 min', '2.1 h'."""
    if value >= 3600:
        return f"{value / 3600:.1f} h"
    if value >= 100:
        return f"{value / 60:.1f} min"
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


def spreadsheet(value: object) -> object:
    """A CSV cell that no spreadsheet takes for a formula."""
    if isinstance(value, str):
        value = shown(value)
        return f"'{value}" if value[:1] in ("=", "+", "-", "@") else value
    return value


def markdown(value: object) -> str:
    """A Markdown table cell: no markup, no link, no break."""
    return "".join(f"\\{c}" if c in "\\|`*_[]<>#!~&$" else c for c in shown(value)) or DASH


def lines(value: str, limit: int = 2000) -> str:
    """A longer text, line by line harmless; at most `limit` lines."""
    found = value.split("\n")
    more = [f"… {len(found) - limit} more lines in settings.json"] if len(found) > limit else []
    return "\n".join([*(shown(line, 400) for line in found[:limit]), *more])
