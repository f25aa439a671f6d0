"""Records and their Arrow form."""

from __future__ import annotations

import numpy as np
import pytest

from svmbench.records import (
    Box,
    Clip,
    Drop,
    Features,
    Score,
    features_from_table,
    features_table,
    from_table,
    schema_of,
    to_table,
)


def a_clip(**changes: object) -> Clip:
    values = {
        "clip_id": "c",
        "post_id": "p",
        "song_id": "s",
        "start_s": 0.0,
        "end_s": 9.5,
        "fps": None,
        "width_px": 10,
        "height_px": 20,
        "box": Box(left_px=1, top_px=2, width_px=3, height_px=4),
        "media": "ab",
        "measures": {"speech": 0.25, "silence": None},
    }
    return Clip(**{**values, **changes})  # type: ignore[arg-type]


def test_records_survive_the_way_through_arrow() -> None:
    clips = [a_clip(), a_clip(clip_id="d", fps=29.97, measures={})]
    assert from_table(Clip, to_table(Clip, clips)) == clips


def test_not_measured_stays_none_and_an_interval_stays_a_pair() -> None:
    assert schema_of(Drop).field("value").nullable
    assert from_table(Drop, to_table(Drop, [Drop(id="a", stage="curate", kind="rule", reason="no_audio")]))[0].value is None
    assert schema_of(Score).field("ci95").type.value_type == "double"


def test_records_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        a_clip().song_id = "t"  # type: ignore[misc]


def test_features_of_different_lengths_survive() -> None:
    rows = {
        name: Features(values_TD=np.random.default_rng(t).normal(size=(t, 3)).astype(np.float32), hop_s=1.0)
        for t, name in enumerate("abcd")
    }
    back = features_from_table(features_table(rows.items()))
    assert list(back) == list("abcd")
    for name, feature in rows.items():
        np.testing.assert_array_equal(back[name].values_TD, feature.values_TD)


def test_a_table_of_an_older_run_may_lack_a_column() -> None:
    found = from_table(Clip, to_table(Clip, [a_clip()]).drop_columns(["measures", "media"]))[0]
    assert (found.measures, found.media) == ({}, None)  # the default, else nothing


def test_features_refuse_another_shape_or_type() -> None:
    with pytest.raises(TypeError, match="float32 of shape"):
        Features(values_TD=np.zeros(3, np.float32), hop_s=1.0)
    with pytest.raises(TypeError, match="float64"):
        Features(values_TD=np.zeros((3, 2)), hop_s=1.0)
