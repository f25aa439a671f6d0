"""The rows of the page as CSV, Markdown and JSON: one list of flat rows, three ways to write it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from leaderboard import text
from leaderboard.published import PrintedTable
from leaderboard.table import Table, Tier

TASK_FIELDS = ("dataset", "revision", "split", "direction", "gallery_size", "num_queries")


def flat_rows(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """One dict a row of the page, in the order of the page. Recalls are shares; *_low and *_high are the 95 % interval."""
    return [
        {
            **{name: getattr(table.key, name) for name in TASK_FIELDS},
            "group": row.group, "baseline": row.baseline, "variant": row.variant, "settings_hash": row.settings_hash,
            "seeds": " ".join(map(str, row.seeds)), **_tier(row.tier),
            **{key: value for metric in table.metrics for key, value in _cell(metric, row.cells[metric]).items()},
            "num_params": row.num_params, "wall_s": row.wall_s, "device": row.device, "commit": row.commit,
            "failed_checks": " ".join(row.checks),
        }
        for table in tables
        for row in table.rows
    ]  # fmt: skip


def _cell(metric: str, cell: Any) -> dict[str, float | None]:
    return {metric: cell.value, f"{metric}_low": cell.low, f"{metric}_high": cell.high, f"{metric}_sd": cell.sd}


def _tier(tier: Tier | None) -> dict[str, Any]:
    """tier_anchor: the row that leads it. tier_p: of the test against that row, adjusted. tier_reason: why there is no tier."""
    number, anchor, p, reason = (None, None, None, "") if tier is None else (tier.number, tier.anchor, tier.p_holm, tier.reason)
    return {"tier": number, "tier_anchor": anchor, "tier_p": p, "tier_reason": reason}


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    """CSV with one header line; text that a spreadsheet would run as a formula gets an apostrophe before it."""
    fields = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: text.spreadsheet(value) for name, value in row.items()} for row in rows)
    return out.getvalue()


def to_json(rows: Sequence[dict[str, Any]], published: Sequence[PrintedTable]) -> str:
    """JSON: 'measured' as in the CSV, and 'published' apart, each figure with the flags of the audit that concern its row."""
    figures = [
        {
            "paper": t.paper, "source": t.source, "table": f.table, "dataset": t.dataset, "system": row.system,
            "setting": row.setting, "direction": t.direction, "metric": f.metric, "printed": f.printed, "unit": f.unit,
            "pool_size": t.pool_size, "pool_basis": t.pool_basis, "secondary": t.secondary,
            "flags": [{"kind": g.kind, "text": g.text} for g in row.flags if not g.metrics or f.metric in g.metrics],
        }
        for t in published
        for row in t.rows
        for f in row.figures.values()
    ]  # fmt: skip
    return json.dumps({"measured": list(rows), "published": figures}, ensure_ascii=False, indent=1) + "\n"


def to_markdown(tables: Sequence[Table]) -> str:
    """One Markdown table a table of the page."""
    lines = ["# Measured by svmbench", ""]
    for table in tables:
        key = table.key
        tier = ["tier"] if table.tiered else []
        heads = ["baseline", *tier, *map(text.metric, table.columns), "seeds", "parameters", "time", "device", "failed checks"]
        lines += [
            f"## {text.markdown(key.dataset)}: {text.direction(key.direction)}", "",
            f"Revision {text.markdown(key.revision)}, split {text.markdown(key.split)}, {key.num_queries} queries, "
            f"gallery of {key.gallery_size}. Recalls in percent; ± is half of the 95 % interval over songs."
            + (" Tier: rows that paired tests on R@10 cannot tell from the anchor." if tier else ""), "",
            "| " + " | ".join(heads) + " |",
            "|---|" + "---:|" * len([*tier, *table.columns]) + "---:|---:|---:|---|---|",
        ]  # fmt: skip
        for row in table.rows:
            cells = [f"{text.number(m, c.value)} {text.interval(m, c)}".strip() for m in table.columns for c in [row.cells[m]]]
            if tier:
                cells.insert(0, text.tier(row.tier) + (" (anchor)" if row.tier and row.tier.leads else ""))
            name = row.name + {"chance": " (chance)", "control": " (control)"}.get(row.group, "")
            tail = [str(len(row.seeds)), text.count(row.num_params), text.seconds(row.wall_s), row.device, " ".join(row.checks)]
            lines.append("| " + " | ".join([text.markdown(name), *cells, *tail[:3], *map(text.markdown, tail[3:])]) + " |")
        lines.append("")
    return "\n".join(lines)
