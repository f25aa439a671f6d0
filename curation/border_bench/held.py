"""What is only in the held-out half of the benchmark. Whoever develops a detector keeps away from these files and their pictures.

KINDS and SOURCES are found by curation.border_bench.sources. OPENED are the kinds that were handed over to the development half
on 2026-11-21, every other one in the order of their names, after the first version of `robust` had been scored on all of them;
the rest are still held.
"""

from __future__ import annotations

from curation.border_bench import held_bars, held_dressed, held_places, held_screens
from curation.border_bench.held_sources import SOURCES
from curation.border_bench.kinds import Kind

KINDS: dict[str, Kind] = {**held_bars.KINDS, **held_dressed.KINDS, **held_places.KINDS, **held_screens.KINDS}
OPENED = tuple(sorted(KINDS)[::2])

__all__ = ["KINDS", "OPENED", "SOURCES"]
