"""One contract suite over each kind of plug-in: what is found by its file name must have what its callers use."""

from __future__ import annotations

import dataclasses
import inspect
import re
from types import ModuleType

import pytest

from curation.clip_job import ask
from svmbench import plugins
from svmbench.errors import Failure, UnknownName
from svmbench.media import Needs
from svmbench.records import Verdict
from svmbench.settings import build

KINDS = (
    "crawl.platforms",
    "curation.borders",
    "curation.filters",
    "curation.features",
    "benchmarks.baselines",
    "benchmarks.metrics",
    "benchmarks.checks",
)

OF_THE_SONG = ("song_posts", "shared_song_posts", "song_speech_share")  # what judge() may be shown beside measures


def every(folder: str) -> list[ModuleType]:
    return [plugins.load(folder, name) for name in plugins.names(folder)]


@pytest.mark.parametrize("folder", KINDS)
def test_a_kind_has_members_with_docstrings_and_knows_the_nearest_name(folder: str) -> None:
    members = every(folder)
    assert members
    for module in members:
        assert (module.__doc__ or "").strip(), module.__name__
    name = plugins.names(folder)[0]
    with pytest.raises(UnknownName, match=f"Did you mean '{name}'"):
        plugins.load(folder, name + "x")
    with pytest.raises(UnknownName):
        plugins.load(folder, "os")


POST_IDS = {"tiktok": "7400000000000000000", "replica": "7400000000000000000", "youtube": "dQw4w9WgXcQ"}


def test_platforms() -> None:
    for module in every("crawl.platforms"):
        name = module.__name__
        assert re.fullmatch("[a-z][a-z0-9_]*", module.SITE), name
        assert isinstance(module.HOSTS, tuple), name
        assert isinstance(module.REPLICA, bool), name
        live = bool(module.HOSTS) and name != "crawl.platforms.replica"
        assert module.TERMS.startswith("https://") if live else module.TERMS == "", name
        assert (module.SEARCH, module.MEDIA) in (("browser", "yt_dlp"), *(("pages", m) for m in ("yt_dlp", "file", "none"))), name
        assert module.PAGE_ITEMS > 0, name
        for function in ("check", "canonical", "post_url", "classify"):
            assert callable(getattr(module, function)), name
        assert module.canonical("https://example.org/video/1") is None, name
        _platform_of_its_kind(module)
        failure = module.classify(ConnectionResetError("cut off"))
        assert isinstance(failure, Failure), name
        assert re.fullmatch("[a-z0-9_]+", failure.kind), name


def _platform_of_its_kind(module: ModuleType) -> None:
    """What a module must have besides, by what it says of itself."""
    name = module.__name__
    if module.SEARCH == "browser":
        assert module.SELECTORS["version"], name
        for function in ("search_url", "is_listing", "parse", "parse_count"):
            assert callable(getattr(module, function)), name
        assert not module.is_listing(module.search_url("a word")), name
    else:
        assert inspect.isgeneratorfunction(module.pages), name
        assert list(inspect.signature(module.pages).parameters) == ["means", "word", "cursor"], name
    if module.SITE in POST_IDS:
        assert module.canonical(module.post_url(POST_IDS[module.SITE])) == POST_IDS[module.SITE], name
    if module.HOSTS and module.MEDIA == "yt_dlp":
        one, other = module.extractors(), module.extractors()
        assert one, name
        assert not [e for e in one if any(e is o for o in other)], f"{name}: each thread needs its own"
    if module.MEDIA == "file" or (module.HOSTS and module.MEDIA == "yt_dlp"):
        assert list(inspect.signature(module.details).parameters) == ["info"], name
    if not module.HOSTS:  # what it searches is the user's own: it says what of it binds a run folder
        assert callable(module.identity), name
        assert callable(module.expected), name


def _settings_are_documented(settings: type) -> None:
    assert dataclasses.is_dataclass(settings)
    assert settings.__dataclass_params__.frozen  # type: ignore[attr-defined]
    for field in dataclasses.fields(settings):
        assert field.metadata.get("source"), f"{settings.__module__}.{field.name} does not say where its default comes from"
    build(settings, None, "defaults")
    build(settings, {f.name: f.default for f in dataclasses.fields(settings)}, "defaults")


def test_filters() -> None:
    names = [module.NAME_OF_MEASURE for module in every("curation.filters")]
    assert len(set(names)) == len(names), "two filters that store under one name"
    for module in every("curation.filters"):
        _settings_are_documented(module.Settings)
        assert isinstance(module.NEEDS, Needs)
        assert isinstance(module.EVERY_CLIP, bool), module.__name__
        assert set(module.MEASURED_WITH) <= {field.name for field in dataclasses.fields(module.Settings)}, module.__name__
        settings = module.Settings()
        assert set(getattr(module, "READS", ())) <= {*names, *OF_THE_SONG}, module.__name__
        for value in (None, 0.0, 1.0, 1e9):
            verdict = ask(module, settings, value, {})  # a filter that reads others must do without them
            assert isinstance(verdict, Verdict), module.__name__
            assert verdict.value == value, module.__name__
            assert verdict.keep or verdict.reason, module.__name__


def test_features() -> None:
    for module in every("curation.features"):
        assert isinstance(module.NEEDS, Needs)
        assert module.MODALITY in ("video", "music"), module.__name__
        assert isinstance(module.DIM, int), module.__name__
        assert module.DIM > 0, module.__name__
        assert list(inspect.signature(module.extract).parameters), module.__name__


def test_baselines() -> None:
    for module in every("benchmarks.baselines"):
        _settings_are_documented(module.Settings)
        assert module.VARIANTS, module.__name__
        for settings in module.VARIANTS.values():
            assert isinstance(settings, module.Settings)
        assert hasattr(module, "NEEDS"), module.__name__


def test_metrics() -> None:
    for module in every("benchmarks.metrics"):
        assert isinstance(module.HIGHER_IS_BETTER, bool), module.__name__
        assert callable(module.score), module.__name__
