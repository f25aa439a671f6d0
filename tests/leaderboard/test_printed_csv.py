"""A user's csv of a published table: both layouts give the same figures, and what is wrong in it is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderboard import audit
from leaderboard.printed_csv import metric_name, read_printed
from leaderboard.published import PrintedTable
from svmbench.errors import BadInput, SvmbenchError, UnknownName

WIDE = """system,setting,direction,pool_size,R@1,Recall@5,recall@10,MedR,mean rank,MRR
A,one,v2m,2000,11.2,34.6,58.5%,6,40.2,0.231
A,two,v2m,2000,9.7,28.3,53.2,14,,-
A,one,music_to_video,,10.90,,,,,
"""
LONG = """system;setting;direction;pool_size;metric;value
A;one;v2m;2000;recall@1;11.2
A;one;v2m;2000;R@5;34.6
A;one;v2m;2000;R@10;58.5
A;one;v2m;2000;median_rank;6
A;one;v2m;2000;MeanR;40.2
A;one;v2m;2000;mrr;0.231

A;two;v2m;2000;R@1;9.7
A;two;v2m;2000;R@5;28.3
A;two;v2m;2000;R@10;53.2
A;two;v2m;2000;MedR;14
A;one;M2V;;R@1;10.90
"""


def written(path: Path, text: str | bytes) -> Path:
    file = path / "theirs.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def cells(tables: list[PrintedTable]) -> dict[tuple[object, ...], str]:
    return {
        (t.direction, t.pool_size, row.system, row.setting, metric): f.printed
        for t in tables
        for row in t.rows
        for metric, f in row.figures.items()
    }


def test_both_layouts_give_the_same_figures_with_their_decimals(tmp_path: Path) -> None:
    wide = cells(read_printed(written(tmp_path, WIDE)))
    assert wide == cells(read_printed(written(tmp_path, LONG)))
    assert wide["music_to_video", None, "A", "one", "recall@1"] == "10.90"
    assert wide["video_to_music", 2000, "A", "one", "mrr"] == "0.231"
    assert len(wide) == 11


def test_the_layout_of_the_file_does_not_matter(tmp_path: Path) -> None:
    found = cells(read_printed(written(tmp_path, WIDE)))
    for text in (b"\xef\xbb\xbf" + WIDE.encode(), WIDE.replace("\n", "\r\n"), WIDE.replace(",", "\t"), WIDE.rstrip("\n")):
        assert cells(read_printed(written(tmp_path, text))) == found
    for text in ("\n" + LONG, "\r\n" + LONG.replace("\n", "\r\n"), LONG.replace("\n", "\r")):
        assert cells(read_printed(written(tmp_path, text))) == found


def test_the_audit_finds_in_a_file_what_it_finds_in_the_papers(tmp_path: Path) -> None:
    found = audit.audit(read_printed(written(tmp_path, WIDE)))
    flags = {(row.setting, flag.kind) for table in found for row in table.rows for flag in row.flags}
    assert flags == {("one", "rising"), ("two", "median")}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("R@10", "recall@10"), ("Recall @ 5", "recall@5"), ("r@1", "recall@1"), ("Med R", None), ("Median Rank", "median_rank"),
     ("nDCG@10", "ndcg@10"), ("mAP", "map"), ("R@0", None), ("R@ten", None), ("P@1", None), ("year", None)],
)  # fmt: skip
def test_names_of_metrics(name: str, expected: str | None) -> None:
    if expected:
        assert metric_name(name) == expected
    else:
        with pytest.raises(UnknownName, match="unknown metric or column"):
            metric_name(name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no rows"),
        ("system,R@1\n", "has no rows"),
        ("model,R@1\nA,1\n", "unknown metric or column 'model'"),
        ("R@1,R@5\n1,2\n", "needs the column 'system'"),
        ("system,setting\nA,b\n", "a column a metric or the two columns 'metric' and 'value'"),
        ("system,metric,R@1\nA,R@5,1\n", "a column a metric or the two columns"),
        ("system,R@1,recall@1\nA,1,1\n", "the column 'recall@1' stands there twice"),
        ("system,R@1,R@5\nA,1\n", "line 2: 2 cells under 3 column names"),
        ("system,R@1\n,1\n", "line 2: has no system"),
        ("system,R@1\n\nA,ten\n", "line 3: recall@1 is 'ten', which is no number"),
        ('system,R@1\nA,"11,2"\n', "recall@1 is '11,2', which is no number"),
        ("system,R@1\nA,-3\n", "no number"),
        ("system,R@1\nA,1e2\n", "no number"),
        ("system,R@1\nA,nan\n", "no number"),
        ("system,R@1\nA,100.1\n", "line 2: recall@1 is 100.1, above 100 percent"),
        ("system,MRR\nA,23.1\n", "mrr is 23.1; it lies between 0 and 1"),
        ("system,MedR\nA,0\n", "ranks lie between 1 and the size of the pool"),
        ("system,pool_size,MedR\nA,500,501\n", "ranks lie between 1 and the size of the pool"),
        ("system,pool_size,R@1\nA,about 2000,1\n", "pool_size is 'about 2000'"),
        ("system,pool_size,R@1\nA,1,1\n", "pool_size is '1'"),
        ("system,direction,R@1\nA,audio,1\n", "direction is 'audio'; allowed"),
        ("system,metric,value\nA,F1,3\n", "unknown metric or column 'F1'"),
        ("system,R@1\nA,1\nB,2\nA,1\n", "line 4: recall@1 of 'A' stands on line 2 too"),
        ("system,R@1\nA,-\n", "has no figure"),
        ("system,R@1\nMüller,1\n".encode("latin-1"), "is not in UTF-8 (byte 12); save it as 'CSV UTF-8'"),
        ("system,R@1\nA,1\n".encode("utf-16"), "is not in UTF-8"),
        ('system,R@1\n"A,1\n', "is no csv file"),
        (b"\x00" * 50, "theirs.csv"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(SvmbenchError) as error:
        read_printed(written(tmp_path, text))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_or_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_printed(tmp_path / "nothing.csv")
    with pytest.raises(BadInput, match="a printed table has less"):
        read_printed(written(tmp_path, b"x" * 10_000_001))
