"""`svmbench results export`: records as a table for people (md), for programs (csv, json), and for mteb.

mteb's recall@K is the share of all positives found, ours the hit rate; so ours is exported under the name hit_rate_at_K, and our
true recall as recall_at_K. Field names: embeddings-benchmark/mteb, mteb/results/task_result.py.
"""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from benchmarks.record import Entry
from svmbench.records import DIRECTIONS

MAIN_SCORE = "recall@10"
SHOWN = ("recall@1", "recall@5", "recall@10", "recall@25", "recall@50", "median_rank")
NO_LANGUAGE = "zxx-Zxxx"  # mteb's code for what has no language
MTEB_NAMES = {"recall": "hit_rate", "true_recall": "recall"}


def to_json(entries: Sequence[Entry]) -> str:
    """All records as they are, in one list."""
    return json.dumps([entry.values for entry in entries], indent=1) + "\n"


def to_csv(entries: Sequence[Entry]) -> str:
    """One row a result and direction; recalls are shares, NAME_low and NAME_high the 95 % interval over songs."""
    rows = [_flat(entry, direction) for entry in entries for direction in entry.values["scores"]]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _plain(value) for name, value in row.items()} for row in rows)
    return out.getvalue()


def _plain(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")) else value


def _flat(entry: Entry, direction: str) -> dict[str, Any]:
    values, found = entry.values, entry.values["scores"][direction]
    model, data, protocol = values["model"], values["data"], values["protocol"]
    row = {
        "dataset": data["dataset"], "revision": data["revision"], "split": data["split"], "direction": direction,
        "gallery_unit": protocol["gallery_unit"], "gallery_size": found["gallery_size"], "num_queries": found["num_queries"],
        "num_songs": found["num_songs"], "metric_spec": protocol["metric_spec"], "baseline": model["baseline"],
        "variant": model["variant"], "settings_hash": model["settings_hash"], "seed": values["seed"], "role": model["role"],
        "kind": values["kind"], "failed_checks": " ".join(values["checks"]["failed"]), "tied_fraction": found["tied_fraction"],
        "commit": values["code"]["commit"] + ("+" if values["code"]["dirty"] else ""), "key": values["key"],
    }  # fmt: skip
    for name, metric in found["metrics"].items():
        low, high = metric["ci95"] or (None, None)
        row |= {name: metric["value"], f"{name}_low": low, f"{name}_high": high, f"{name}_chance": metric["chance"]}
    return row | {f"{name} in a pool of {n}": v for n, pool in found["pools"].items() for name, v in pool.items()}


def to_markdown(entries: Sequence[Entry]) -> str:
    """A table for each dataset, revision, split and direction; one line a row, its seeds together."""
    tables: dict[tuple[str, ...], dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        data, protocol = entry.values["data"], entry.values["protocol"]
        key = (data["dataset"], data["revision"], data["split"], protocol["gallery_unit"], protocol["metric_spec"])
        tables[key][_name(entry)].append(entry)
    lines: list[str] = []
    for (dataset, revision, split, unit, spec), rows in sorted(tables.items()):
        for direction in DIRECTIONS:
            shown = {name: [e for e in seeds if direction in e.lists] for name, seeds in rows.items()}
            lines += [f"## {_md(dataset)}: {direction.replace('_', ' ')}", "", f"Revision {revision[:12]}, split {_md(split)}, "
                      f"gallery of {unit}s, metrics {spec}. Recalls in percent; ± is half of the 95 % interval.", ""]  # fmt: skip
            lines += ["| | tier | " + " | ".join(SHOWN) + " | seeds | failed checks |", "|---|---:|" + "---:|" * 7 + "---|"]
            order = sorted((seeds for seeds in shown.values() if seeds), key=lambda seeds: -_mean(seeds, direction, MAIN_SCORE))
            lines += [_line(seeds, direction) for seeds in order] + [""]
    return "\n".join(lines)


def _name(entry: Entry) -> str:
    group, model = entry.values["group"], entry.values["model"]
    return str(group["name"]) if group else f"{model['baseline']} {model['variant']}"


def _line(seeds: Sequence[Entry], direction: str) -> str:
    first = seeds[0].values
    tier = ((first["group"] or {}).get("tiers", {}).get(direction, {}).get(MAIN_SCORE, {})).get("tier")
    failed = sorted({name for entry in seeds for name in entry.values["checks"]["failed"]})
    role = "" if first["model"]["role"] == "measured" else f" ({first['model']['role']})"
    cells = [_md(_name(seeds[0])) + role, "" if tier is None else str(tier)]
    cells += [_cell(seeds, direction, name) for name in SHOWN] + [str(len(seeds)), " ".join(failed)]
    return "| " + " | ".join(cells) + " |"


def _cell(seeds: Sequence[Entry], direction: str, name: str) -> str:
    scale, digits = (1, 1) if name == "median_rank" else (100, 1)
    ends = [entry.values["scores"][direction]["metrics"][name]["ci95"] for entry in seeds]
    headline = ((seeds[0].values["group"] or {}).get("headline", {}).get(direction, {}).get(name) or {}).get("ci95")
    whole = headline or (None if None in ends else [sum(e[i] for e in ends) / len(ends) for i in (0, 1)])
    half = "" if whole is None else f" ± {scale * (whole[1] - whole[0]) / 2:.{digits}f}"
    return f"{scale * _mean(seeds, direction, name):.{digits}f}{half}"


def _mean(seeds: Sequence[Entry], direction: str, name: str) -> float:
    return float(sum(entry.values["scores"][direction]["metrics"][name]["value"] for entry in seeds) / len(seeds))


def _md(text: str) -> str:
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in " ".join(text.split()))


def to_mteb(entry: Entry) -> dict[str, Any]:
    """One result as mteb's TaskResult: each direction is a subset, the main score is the hit rate among the first ten."""
    values = entry.values
    scores = []
    for direction, found in values["scores"].items():
        cells = {_mteb_name(name): metric["value"] for name, metric in found["metrics"].items()}
        main = found["metrics"][MAIN_SCORE]["value"]
        scores.append({**cells, "main_score": main, "hf_subset": direction, "languages": [NO_LANGUAGE]})
    times = [fit["eval_s"] if fit["eval_s"] is not None else fit["wall_s"] for fit in values["run"]["fits"]]
    return {
        "dataset_revision": values["data"]["revision"], "task_name": values["data"]["dataset"], "mteb_version": None,
        "scores": {values["data"]["split"]: scores}, "evaluation_time": sum(t for t in times if t is not None),
        "kg_co2_emissions": None, "date": min((fit["started"] for fit in values["run"]["fits"] if fit["started"]), default=None),
    }  # fmt: skip


def _mteb_name(label: str) -> str:
    name, _, cutoff = label.partition("@")
    return MTEB_NAMES.get(name, name) + (f"_at_{cutoff}" if cutoff else "")
