"""One file a filter: measure() reads the clip once, judge() applies the thresholds and can be asked again without decoding.

The file name is the filter's name in a recipe (`filters: {duration: {min_s: 5}}`) and the mapping there builds its Settings.
curation.clip_job asks measure() of every listed filter and of every filter that is for every clip, and stores the value in
Clip.measures[NAME_OF_MEASURE]. curation.rules asks judge() of the listed ones: the first refusal in the recipe's order gives the
Drop its reason and value, else the first doubt sends the clip to a person, else it is kept. Where measure() raises, the measure
is None, and a recipe that lists the filter drops the clip: kind 'failure', reason 'filter_NAME'. MissingExtra ends the run.
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

    A module may have two things more. READS: names of other measures, and of 'song_posts', 'shared_song_posts' and
    'song_speech_share'; judge() then takes a third argument, a mapping from such names to floats or None, which may lack any.
    prepare(): called once a worker, before its first clip; raises MissingExtra where the filter cannot work there.
    """

    Settings: type[Any]
    MEASURED_WITH: tuple[str, ...]
    EVERY_CLIP: bool
    NEEDS: Needs
    NAME_OF_MEASURE: str

    def measure(self, clip: ClipMedia, settings: Any) -> float | None:
        """One finite number, or None when the clip has nothing to measure (no audio, one frame); raises nothing for odd input."""

    def judge(self, value: float | None, settings: Any) -> Verdict:
        """Keep, not, or in doubt (review=True). The reason is one short stable word (snake_case): Drop.reason of kind 'rule'."""
