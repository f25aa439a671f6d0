"""A recipe defines a dataset: what to search, what to keep, how to split. YAML by name or path; unknown keys refused."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from svmbench.errors import BadInput, BadSettings, UnknownName

FOLDER = Path(__file__).parent / "recipes"
_BARE = re.compile(r"[\[,]\s*#")  # in a list a comment where a word was meant
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
SplitKey = Literal["song", "near-duplicate", "author"]


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class IgnoreRobots(Section):
    """robots: {ignore_because: "..."}: the reason is written into the dataset card."""

    ignore_because: Annotated[str, Field(min_length=10)]


class Replica(Section):
    """The embedded platform: composed posts, or the files of a folder."""

    posts: Annotated[int, Field(ge=1, le=20_000)] = 240
    seed: Annotated[int, Field(ge=0)] = 2026
    media_dir: str | None = None


class Search(Section):
    """What to look for. likes_min is exact: a post with likes_min likes is taken, one with a like less is not.

    source: for the platform `ids` a file of ids or addresses, for `folder` a folder. since, until: first and last day
    of posting, where a platform searches by them. original_sound: whether posts with the uploader's own sound are taken.
    """

    platform: str = "tiktok"
    site: Literal["live", "replica"] = "live"
    words: Annotated[tuple[str, ...], Field(min_length=1)]
    posts_per_word: Annotated[int, Field(ge=1)] = 200
    likes_min: Annotated[int, Field(ge=0)] = 0
    duration_min_s: Annotated[float, Field(ge=0)] = 0.0
    duration_max_s: Positive = 600.0
    source: str | None = None
    since: date | None = None
    until: date | None = None
    original_sound: Literal["keep", "drop"] = "keep"

    @model_validator(mode="before")
    @classmethod
    def _embedded(cls, values: Any) -> Any:
        """The platform `replica` is on no other site."""
        return {"site": "replica"} | values if isinstance(values, dict) and values.get("platform") == "replica" else values


class Pace(Section):
    """How fast each host is asked, for the whole cluster together, and how much is stored.

    attempts: tries at one post. disk_gb: at so many gigabytes (10^9 bytes) of media the crawl stops; None is no limit of ours.
    """

    pages_per_s: Annotated[float, Field(gt=0, le=100)] = 1.0
    media_parallel: Annotated[int, Field(ge=1, le=32)] = 2
    attempts: Annotated[int, Field(ge=1, le=20)] = 5
    disk_gb: Positive | None = None


class ClipRule(Section):
    """Which stretch of a post becomes the clip: its beginning, at most max_s long; shorter than min_s is dropped.

    segment_s: the beginning is cut into clips of this length, one after the other; what is left at its end is a clip too where it
    is at least min_s long, and else neither a clip nor dropped.
    frames: reference skips frames that no other frame needs, which can be faster; adjacent frames are then further apart.
    """

    min_s: Annotated[float, Field(ge=0)] = 4.0
    max_s: Annotated[float, Field(gt=0, le=600)] = 60.0
    segment_s: Annotated[float, Field(gt=0, le=600)] | None = None
    frames: Literal["all", "reference"] = "all"

    @model_validator(mode="after")
    def _segments_are_clips(self) -> ClipRule:
        if self.segment_s is not None and self.segment_s < self.min_s:
            raise ValueError(f"segment_s is {self.segment_s:g}, and no clip may be shorter than min_s, {self.min_s:g}")
        return self


class Borders(Section):
    """How borders are found, by a method of curation/borders.

    robust: ours, over time. paper: the seven steps of MVBind (arXiv 2405.09286, section 3.1). none: not at all.
    """

    method: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")] = "robust"


class Duplicates(Section):
    """Near-duplicate videos: found by PDQ hashes of frames inside the border, and told by the share of frames that match.

    keep: best keeps the best copy of each cluster, all keeps every copy, together in one part of the split; none looks for none.
    max_distance: bits of 256 in which two matching frames may differ; for single pictures PDQ has 31, for videos 40 is ours.
    match_share: of the frames of the clip with fewer frames. quality_min: of the frames that count (curation.hashes.quality).
    """

    keep: Literal["best", "all", "none"] = "best"
    max_distance: Annotated[int, Field(ge=0, le=90)] = 40
    match_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    quality_min: Annotated[int, Field(ge=0, le=100)] = 20


class Beats(Section):
    """How the statistics of beats in a segment become classes (svmbench.rhythm.Bins, with the sources): UT-CMVMR's numbers."""

    count_classes: Annotated[int, Field(ge=2, le=1024)] = 18
    strength_classes: Annotated[int, Field(ge=2, le=1024)] = 49
    strength_step_db: Annotated[float, Field(ge=0.01, le=80)] = 1.0
    interval_classes: Annotated[int, Field(ge=3, le=4097)] = 65
    interval_max_s: Annotated[float, Field(ge=0.1, le=600)] = 4.0


class Sound(Section):
    """What becomes of clips on which the rules of the sound do not decide, and of natural sound.

    preset: svm_10k is music only, and doubtful clips wait for a person; m2m is the same, but natural sound is kept and labelled
    (measure natural_sound), at most natural_max clips of it; auto needs no person and leaves doubtful clips out.
    shared_song_posts: a doubtful voice is taken for singing where so many posts share the song (ours); 0 never.
    """

    preset: Literal["svm_10k", "m2m", "auto"] = "auto"
    natural_max: Annotated[int, Field(ge=0)] | None = None
    shared_song_posts: Annotated[int, Field(ge=0)] = 4


class Songs(Section):
    """How clips of one song are found. by: platform trusts the track id alone; fingerprint also listens (curation.songs).

    max_posts: a song that grows beyond so many posts by fingerprints alone is not merged further, and is reported (ours).
    """

    by: Literal["platform", "fingerprint"] = "fingerprint"
    max_posts: Annotated[int, Field(ge=2)] = 50


class AsPublished(Section):
    """How a paper split its set: numbers of clips, or shares that sum to 1; each number's place in the paper stands beside it.

    keys: what the paper kept in one part, see SplitRule; with none of them the clips fall by chance, one by one. A run with fewer
    clips than the numbers sum to is split in their proportion; of more clips, the rest is in no part.
    """

    train: Annotated[float, Field(ge=0)]
    val: Annotated[float, Field(ge=0)] = 0
    test: Annotated[float, Field(ge=0)]
    keys: tuple[SplitKey, ...] = ()

    @property
    def total(self) -> float:
        """Clips in all parts together; 1 where the numbers are shares."""
        return self.train + self.val + self.test

    @model_validator(mode="after")
    def _one_kind(self) -> AsPublished:
        whole = all(number == int(number) for number in (self.train, self.val, self.test))
        if not self.total or (not whole and abs(self.total - 1) > 1e-9):
            raise ValueError("train, val and test must be whole numbers of clips, or shares that sum to 1")
        return self


class SplitRule(Section):
    """Which clips stand in one part.

    rule: strict keeps together whatever shares one of `keys`, also by way of others, and each post and each media file; a leak
    raises. as_published splits as a paper did (see AsPublished) and may leak; everything made from it says so.
    keys: leaving one out lets it stand in several parts, which the split and the card say.
    stratify: each part gets its share of the clips of each search word (the first that found the post) or of each unified label.
    """

    rule: Literal["strict", "as_published"] = "strict"
    keys: tuple[SplitKey, ...] = ("song", "near-duplicate", "author")
    train: Share = 0.7
    val: Share = 0.1
    test: Share = 0.2
    stratify: Literal["word", "label", "none"] = "word"
    seed: Annotated[int, Field(ge=0)] = 0
    as_published: AsPublished | None = None

    @model_validator(mode="before")
    @classmethod
    def _older(cls, values: Any) -> Any:
        """Run folders made before there were keys say `by: song` or `by: post`."""
        if isinstance(values, dict) and values.get("by") in ("song", "post"):
            keys = ("song", "near-duplicate") if values["by"] == "song" else ("near-duplicate",)
            return {"keys": keys} | {key: value for key, value in values.items() if key != "by"}
        return values

    @model_validator(mode="after")
    def _complete(self) -> SplitRule:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train + val + test is {total:g} and must be 1")
        if self.rule == "as_published" and self.as_published is None:
            raise ValueError(
                "rule: as_published needs the numbers of the paper under as_published, as the recipe svm_10k has them"
            )
        return self


class Labels(Section):
    """Unified labels from hashtags, one for each song and for all of its clips (UT-CMVMR, section 2.1; curation.labels).

    songs_min: a label that fewer songs would have is given up, and they take their next tag (ours). labels_max: the rarest labels
    are given up until so few are left.
    """

    songs_min: Annotated[int, Field(ge=1)] = 2
    labels_max: Annotated[int, Field(ge=1)] | None = None


class Publish(Section):
    """What the card says. license_features: of the derived numbers; media are never published."""

    title: str = "Short-video music dataset"
    license_features: str = "cc-by-4.0"
    contact: str = "open an issue in the dataset's repository"
    captions: bool = False


class Recipe(Section):
    """Everything that defines a dataset.

    robots: must be written into the recipe before it can be crawled. optout: a file of posts and authors to leave out
    (svmbench.optout)."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
    about: str = ""
    search: Search
    robots: Literal["obey"] | IgnoreRobots = "obey"
    optout: str | None = None
    pace: Pace = Pace()
    replica: Replica = Replica()
    clip: ClipRule = ClipRule()
    borders: Borders = Borders()
    duplicates: Duplicates = Duplicates()
    filters: dict[str, dict[str, Any]] = {}
    features: tuple[str, ...] = ()
    beats: Beats = Beats()
    sound: Sound = Sound()
    songs: Songs = Songs()
    labels: Labels | None = None
    split: SplitRule = SplitRule()
    publish: Publish = Publish()

    @model_validator(mode="after")
    def _labels_to_split_by(self) -> Recipe:
        if self.split.stratify == "label" and self.labels is None:
            raise ValueError("split.stratify: label needs the section labels")
        return self


def known() -> list[str]:
    """The recipes that ship with svmbench."""
    return sorted(p.stem for p in FOLDER.glob("*.yaml"))


def load(name_or_path: str) -> Recipe:
    """The recipe with this name, or in this YAML file."""
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = FOLDER / f"{name_or_path}.yaml"
        if not path.is_file():
            raise UnknownName("recipe", name_or_path, known())
    elif not path.is_file():
        raise BadInput(f"recipe file {name_or_path} does not exist; name one of: {', '.join(known())}, or a YAML file")
    try:
        text = path.read_text()
        values = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        bare = not isinstance(error, UnicodeDecodeError) and _BARE.search(text)
        hint = "; what begins with # must stand in quotes, else it is a comment" if bare else ""
        raise BadSettings(f"{name_or_path} is not valid YAML: {' '.join(str(error).split())}{hint}") from error
    return _placed(parse(values, str(name_or_path)), path.resolve().parent)


def _placed(recipe: Recipe, folder: Path) -> Recipe:
    """With the files that it names beside its own file."""
    search = recipe.search
    if search.source is not None:
        search = search.model_copy(update={"source": str(folder / Path(search.source).expanduser())})
    optout = None if recipe.optout is None else str(folder / Path(recipe.optout).expanduser())
    if (search, optout) == (recipe.search, recipe.optout):
        return recipe
    return recipe.model_copy(update={"search": search, "optout": optout})


def parse(values: Any, where: str) -> Recipe:
    """A recipe from plain values; BadSettings names the key, the value and the allowed range."""
    if not isinstance(values, dict):
        raise BadSettings(f"{where}: a recipe is a mapping of keys, not {type(values).__name__}")
    try:
        return Recipe(**values)
    except ValidationError as error:
        lines = dict.fromkeys(_say(e) for e in error.errors())  # each once, in order
        raise BadSettings(f"{where}: {'; '.join(lines)}") from error


def _say(error: Any) -> str:
    parts = [str(p) for p in error["loc"]]
    if parts[:1] == ["robots"]:  # either of two forms; pydantic would tell what each of them lacks
        return "robots: write 'obey', or 'ignore_because: ' and the reason in at least 10 characters"
    key = ".".join(parts) or "recipe"
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key{_near(parts)}"
    if error["type"] == "missing":
        return f"{key}: missing"
    if error["type"] == "value_error":  # of a whole section, which is too long to repeat
        return f"{key}: {error['msg'].removeprefix('Value error, ')}"
    if error["type"] == "string_type":
        return f"{key}: {error['input']!r} is no text; write it in quotes, as what begins with # must be"
    return f"{key}: {error['input']!r} is not allowed ({error['msg'].removeprefix('Input ')})"


def _near(parts: list[str]) -> str:
    from difflib import get_close_matches

    model: Any = Recipe
    for part in parts[:-1]:
        hint = getattr(model.model_fields.get(part), "annotation", None)
        model = next((arg for arg in get_args(hint) if hasattr(arg, "model_fields")), hint)  # of Section | None the section
    fields = list(getattr(model, "model_fields", {}))
    near = get_close_matches(parts[-1], fields, n=1)
    return (f"; did you mean {near[0]!r}?" if near else "") + f" Allowed: {', '.join(fields)}"
