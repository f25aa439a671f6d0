"""The jobs behind `svmbench crawl`: what its words mean, the plan of a dry run, the crawl itself, and the pages on how it stands.
Part of the roof."""

from __future__ import annotations

import json as jsonlib
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rich.console import Console

from svmbench import optout
from svmbench import recipe as recipes
from svmbench.errors import BadInput, UnknownName
from svmbench.jobs import RUNS, Where, check, crawl_job, extra, find_run
from svmbench.progress import Progress
from svmbench.provenance import recipe_of, require_same
from svmbench.recipe import Recipe
from svmbench.store import RunFolder

ACTIONS = ("status", "failures", "retry")
RECIPE = "demo"  # without a word


@dataclass(frozen=True, slots=True)
class Order:
    """What stands after `svmbench crawl`. action: crawl, status, failures or retry; name: of the recipe or the run; source: a
    list or folder instead of the recipe's."""

    action: str
    name: str | None
    source: str | None = None


def crawl_words(
    words: list[str], *, out: Path | None, limit: int | None, dry_run: bool, reason: str | None, local: bool, address: str | None
) -> Order:
    """The order in what the user typed; BadInput for words and options that do not go together.

    The words status, failures and retry come first: a recipe is never called by one of them, but by its file, 'status.yaml'.
    """
    if words[:1] and words[0] in ACTIONS:
        action, names = words[0], words[1:]
        if len(names) > 1:
            raise BadInput(f"one run at a time, not {', '.join(names)}; write 'svmbench crawl {action} RUN'")
        _only(action, out=out, limit=limit, dry_run=dry_run, reason=reason, local=local, address=address)
        if action == "retry" and not reason:
            raise BadInput("retry needs --reason; 'svmbench crawl failures RUN' shows which there are")
        return Order(action, names[0] if names else None)
    if reason:
        raise BadInput("--reason goes with failures and retry: 'svmbench crawl failures RUN --reason gone'")
    if len(words) > 2:
        raise BadInput(f"a recipe and at most one source, not {', '.join(words)}; search words stand in the recipe")
    return Order("crawl", words[0] if words else RECIPE, words[1] if len(words) == 2 else None)


def _only(action: str, **given: Any) -> None:
    """BadInput for options that an action does not have."""
    takes = {"status": (), "failures": ("reason",), "retry": ("reason", "limit", "local", "address")}[action]
    for name, value in given.items():
        if name not in takes and value not in (None, False):
            allowed = " and ".join(f"--{n}" for n in (*takes, "json"))
            raise BadInput(f"--{name.replace('_', '-')} does not go with {action}, which takes {allowed}")


def load(name: str, source: str | None) -> Recipe:
    """The recipe, with another source if one is named. Paths of sources become absolute: workers stand in another folder."""
    if RunFolder(name).is_run():
        again = RunFolder(name).settings().get("recipe_from", "RECIPE")
        raise BadInput(f"{name} is a run folder, not a recipe; 'svmbench crawl {again} --out {name}' goes on, 'svmbench crawl"
                       f" status {name}' explains it")  # fmt: skip
    try:
        recipe = recipes.load(name)
    except UnknownName:
        if Path(f"{name}.yaml").is_file():
            raise BadInput(f"{name!r} is no recipe that ships with svmbench; the file is 'svmbench crawl {name}.yaml'") from None
        near = get_close_matches(name, ACTIONS, n=1, cutoff=0.75)
        if not near:
            raise
        raise BadInput(f"{name!r} is no recipe; did you mean 'svmbench crawl {near[0]}'?") from None
    source = source or recipe.search.source
    if source is None:
        return recipe
    search = recipe.search.model_copy(update={"source": str(Path(source).expanduser().resolve())})
    return recipe.model_copy(update={"search": search})


def run_of(order: Order) -> RunFolder:
    """The run that status, failures or retry are about."""
    try:
        return find_run(order.name)
    except BadInput as error:
        if Path(f"{order.action}.yaml").is_file():
            raise BadInput(f"{error}. The recipe file is crawled with 'svmbench crawl {order.action}.yaml'") from error
        raise


def look(order: Order, *, out: Path | None, limit: int | None, reason: str | None, as_json: bool) -> None:
    """What only looks: a dry run, status and failures. Prints a page, or one JSON document."""
    with extra("crawl"):
        import crawl.plan
        import crawl.run
        import crawl.status
    told: Any
    if order.action == "crawl":
        recipe = load(str(order.name), order.source)
        crawl.run.check(recipe)
        folder = RunFolder(out or RUNS / recipe.name)
        _agree(recipe, folder)
        told = crawl.plan.plan(recipe, folder, limit)
        page = crawl.plan.show(told)
        told = asdict(told)
    elif order.action == "status":
        told = crawl.status.read_status(run_of(order))
        page = crawl.status.show_status(told)
    else:
        run = run_of(order)
        told = {"run": str(run.path), "reasons": crawl.status.read_failures(run, reason)}
        page = crawl.status.show_failures(told["reasons"], run)
    if as_json:
        print(jsonlib.dumps(told, default=str))
    else:
        Console().print(page, soft_wrap=True)  # commands and links stay whole, to be copied


def work(
    order: Order, where: Where, progress: Progress, *, out: Path | None, limit: int | None, reason: str | None
) -> tuple[RunFolder, bool]:
    """Crawls, or tries failed posts again and goes on crawling. The run, and whether it was stopped in order by ctrl-C."""
    if order.action == "retry":
        run, recipe = _retried(order, str(reason))
        source = None
    else:
        recipe, source = load(str(order.name), order.source), order.name
        check(recipe)
        _agree(recipe, RunFolder(out or RUNS / recipe.name))
        run = RunFolder.create(out or RUNS / recipe.name)
    try:
        with where.fleet() as fleet:
            retry = reason if order.action == "retry" else None
            crawl_job(recipe, run, fleet, progress, source=source, limit=limit, retry=retry)
    except KeyboardInterrupt:
        return run, True
    return run, False


def next_step(run: RunFolder) -> str:
    """What to do after a crawl, as `status` says it."""
    with extra("crawl"):
        import crawl.status
    return str(crawl.status.read_status(run)["next"])


def _agree(recipe: Recipe, run: RunFolder) -> None:
    """BadSettings where the folder is of another recipe, BadInput where the opt-out list is wrong: before anything is written."""
    require_same(run, recipe)
    optout.read(recipe, run)


def _retried(order: Order, reason: str) -> tuple[RunFolder, Recipe]:
    """The run of which posts are to be tried again, with its recipe. BadInput where the reason is none of its failures."""
    with extra("crawl"):
        import crawl.run
        import crawl.status
    run = run_of(order)
    rules = [fate for fate in crawl.status.read_failures(run, reason) if fate["kind"] == "rule"]
    if rules:
        raise BadInput(f"--reason: {reason} is no failure but a rule ({rules[0]['means']}); trying again would not change it")
    recipe = recipe_of(run)
    crawl.run.check(recipe)
    return run, recipe
