"""A curated corpus of composed posts against the composer's truth: python tests/perf/composed_truth.py [FOLDER] [--posts 1000].

Composes the posts, serves them on the embedded platform, crawls and curates them with the functions behind the commands, and
scores borders, cuts, motion, stillness, beats, speech, verdicts, songs and near-duplicates; prints Markdown. The recipe is the
demo's, without the features that nothing here reads; the seed is not the demo's, on which thresholds may have been looked at.
Everything is kept in FOLDER (default: a temporary one), and the same command goes on where it stopped. A thousand posts take
about twenty minutes of CPU time; --posts takes fewer.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import composed_scores as scores

from crawl.replica.catalogue import read_truth
from svmbench import jobs, jobs_curate
from svmbench import recipe as recipes
from svmbench.progress import Progress
from svmbench.provenance import commit
from svmbench.records import Clip, Drop, Post
from svmbench.store import RunFolder

SEED = 7001


def recipe_of(posts: int, seed: int) -> recipes.Recipe:
    values = recipes.load("demo").model_dump(mode="json")
    values |= {"name": "composed_truth", "features": ["optical_flow", "beats"]}
    values["replica"] |= {"posts": posts, "seed": seed}
    values["search"]["posts_per_word"] = posts
    return recipes.parse(values, "composed_truth")


def curated(recipe: recipes.Recipe, folder: Path, where: jobs.Where) -> tuple[RunFolder, list[scores.Table]]:
    """The finished run, and its tables of scores."""
    os.environ["SVMBENCH_CACHE"] = str(folder / "catalogue")  # where the truth will be
    run, progress = RunFolder.create(folder / "run"), Progress()
    with where.fleet() as fleet:
        jobs.crawl_job(recipe, run, fleet, progress)
        jobs_curate.curate_job(run, fleet, progress)
        truth = {key: row for path in (folder / "catalogue").rglob("truth.jsonl") for key, row in read_truth(path.parent).items()}
        cases = scores.cases(run, truth)
        return run, [
            account(run, truth), scores.borders(cases), scores.cuts(cases), scores.motion(cases), scores.stills(cases),
            scores.beats(cases), scores.speech(cases), scores.verdicts(cases), scores.songs(cases, run, recipe, fleet),
            scores.duplicates(cases, run),
        ]  # fmt: skip


def account(run: RunFolder, truth: dict[str, dict[str, Any]]) -> scores.Table:
    drops = Counter((drop.stage, drop.reason) for drop in run.read(Drop, "drops"))
    tables = {"fetched": (Post, "posts"), "decoded": (Clip, "candidates"), "clips": (Clip, "clips")}
    found = [("composed", len(truth)), *((name, len(run.read(*table))) for name, table in tables.items())]
    found += [(f"left out: {stage}, {why.replace('_', ' ')}", n) for (stage, why), n in drops.items()]
    return scores.Table(title="Posts", columns=("what", "posts"), rows=[(name, f"{n:,}") for name, n in found])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--posts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=SEED, help="another seed composes other posts")
    parser.add_argument("--local", action="store_true", help="threads of this process instead of Ray")
    told = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = told.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        recipe = recipe_of(told.posts, told.seed)
        run, tables = curated(recipe, folder.resolve(), jobs.Where(local=told.local))
        print(f"{told.posts} composed posts, seed {told.seed}, svmbench {commit()}; preset {recipe.sound.preset}\n")
        print("\n".join(map(str, tables)))
        if told.local:
            used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
            print(f"CPU time of this call: {sum(u.ru_utime + u.ru_stime for u in used):.0f} s")
        print(f"the run: {run.path}" if told.folder else "nothing was kept; name a folder to keep the run")


if __name__ == "__main__":
    main()
