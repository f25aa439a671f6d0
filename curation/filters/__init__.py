"""One file a filter: measure() reads the clip once, judge() applies the thresholds and can be asked again without decoding.

The file name is the filter's name in a recipe (`filters: {duration: {min_s: 5}}`) and the mapping there builds its Settings.
curation.clip_job asks measure() of every listed filter and of every filter that is for every clip, and stores the value in
Clip.measures[NAME_OF_MEASURE]. curation.judge asks judge() of the listed ones and keeps the clip when all say keep; the first
refusal in the recipe's order gives the Drop its reason and value. An exception in either costs the clip: a Drop with kind
'failure' and reason 'filter_NAME'. MissingExtra stops the run instead.
"""

from __future__ import annotations

from typing import Any, Protocol

from svmbench.media import ClipMedia, Needs
from svmbench.records import Verdict


class Filter(Protocol):
    """What a module in this folder has.

    Settings: a frozen dataclass whose fields are made with svmbench.settings.setting (range, unit, source); it may have no field.
    MEASURED_WITH: the fields that measure() reads; all others are thresholds and may change without decoding again.
    EVERY_CLIP: whether every clip is measured, also where the recipe does not list the filter. NEEDS: what the decoder must
    provide; only that may be asked of the clip. NAME_OF_MEASURE: the key in Clip.measures.
    """

    Settings: type[Any]
    MEASURED_WITH: tuple[str, ...]
    EVERY_CLIP: bool
    NEEDS: Needs
    NAME_OF_MEASURE: str

    def measure(self, clip: ClipMedia, settings: Any) -> float | None:
        """One finite number, or None when the clip has nothing to measure (no audio, one frame); raises nothing for odd input."""

    def judge(self, value: float | None, settings: Any) -> Verdict:
        """Keep or not. A refusal's reason is one short stable word (snake_case); it becomes Drop.reason with kind 'rule'."""
