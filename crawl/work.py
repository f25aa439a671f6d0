"""What every worker of a crawl is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from crawl.access import Access
from svmbench import plugins
from svmbench.fleet import Actor
from svmbench.optout import OptOut
from svmbench.recipe import Recipe


def module(name: str) -> Any:
    """The module of a platform."""
    return plugins.load("crawl.platforms", name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Plain data, so that it travels to Ray workers.

    run: absolute path of the run folder. secret: key of the author hashes. mark: tells this run's browsers from others.
    optout: posts and authors that are left out.
    """

    recipe: Recipe
    run: str
    access: Access
    frontier: Actor
    pacer: Actor
    secret: bytes
    mark: str
    optout: OptOut = field(default_factory=OptOut)

    @property
    def platform(self) -> Any:
        """The module of the recipe's platform: crawl.platforms.Platform and what it says that it is besides."""
        return module(self.recipe.search.platform)

    @property
    def obey_robots(self) -> bool:
        """False only where the recipe says why not."""
        return self.recipe.robots == "obey"
