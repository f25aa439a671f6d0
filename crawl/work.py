"""What every worker of a crawl is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from crawl.access import Access
from crawl.platforms import Platform
from svmbench import plugins
from svmbench.fleet import Actor
from svmbench.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Plain data, so that it travels to Ray workers.

    run: absolute path of the run folder. secret: key of the author hashes. mark: tells this run's browsers from others.
    """

    recipe: Recipe
    run: str
    access: Access
    frontier: Actor
    pacer: Actor
    secret: bytes
    mark: str

    @property
    def platform(self) -> Platform:
        """The module of the recipe's platform."""
        return cast(Platform, plugins.load("crawl.platforms", self.recipe.search.platform))

    @property
    def obey_robots(self) -> bool:
        """False only where the recipe says why not."""
        return self.recipe.robots == "obey"
