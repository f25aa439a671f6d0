"""The exceptions of svmbench, one tree:

    SvmbenchError            ends the command with exit code 1 and one red line that says what to do
    +-- UnknownName          no such recipe, platform, filter, feature, baseline, metric or table
    +-- MissingExtra         an optional package or program is not installed
    +-- BadSettings          a recipe or setting has an unknown key, a wrong type or a value out of range
    +-- BadInput             a file or folder that the user named is missing, unreadable or of the wrong shape
    +-- StorageError         the run folder cannot be written: disk full, no permission, in use by another process
    +-- SiteError            the embedded platform or the loopback Hub cannot start (port taken)
    +-- HubError             the Hub refused a release or could not be reached
    +-- Blocked              the platform answered with a wall: captcha, log-in, challenge; the crawl stops asking
    +-- PageChanged          the platform's page no longer has what a selector expects
    +-- DownloadFailed       one post could not be fetched; carries a Failure
    +-- BadMedia             one file cannot be decoded
    |   +-- Silent           it decodes, and has no audio where audio is needed
    +-- Leak                 a split has the same song, post or near-duplicate on two sides
    +-- RevisionMismatch     two tables that must come from the same data revision do not
    +-- BadScores            similarities that are not finite, or of the wrong shape
    +-- FitFailed            one fit of a baseline ended with an error; the others went on

Blocked, Leak and BadScores stop the run. DownloadFailed and BadMedia concern one item, which becomes a Drop. Anything else
that is raised is a defect of svmbench and ends the run with its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


class SvmbenchError(Exception):
    """Base of all expected errors. The message is one line: what is wrong, and what to do."""


class UnknownName(SvmbenchError):
    """A name that nothing answers to; the message lists the known names and the nearest one."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        near = get_close_matches(name, self.known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(f"unknown {kind} {name!r}.{hint} Known: {', '.join(self.known) or 'none'}")

    def __reduce__(self) -> tuple[type, tuple[str, str, list[str]]]:
        return type(self), (self.kind, self.name, self.known)


class MissingExtra(SvmbenchError):
    """An optional package or program is missing; the message says how to install it."""


class BadSettings(SvmbenchError):
    """A recipe or setting is wrong; the message names the key, the value and what is allowed."""


class BadInput(SvmbenchError):
    """A file or folder named by the user cannot be used."""


class StorageError(SvmbenchError):
    """The run folder cannot be written or is in use."""


class SiteError(SvmbenchError):
    """The embedded platform could not be started."""


class HubError(SvmbenchError):
    """The Hub refused a release, or could not be reached; the message says what to do. The same command continues."""


class Blocked(SvmbenchError):
    """The platform put up a wall. The crawl stops asking this host and keeps what it has."""


class PageChanged(SvmbenchError):
    """The platform's page does not look as the selectors expect; the message names the selector."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one fetch failed.

    kind: a short stable word, e.g. 'private', 'gone', 'throttled'. permanent: asking again cannot help.
    wall: the host itself objects (captcha, log-in, IP block), which feeds the breaker. retry_after_s: as the server asked.
    """

    kind: str
    permanent: bool
    wall: bool = False
    retry_after_s: float | None = None
    detail: str = ""


class DownloadFailed(SvmbenchError):
    """One post could not be fetched."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(f"{failure.kind}: {failure.detail}" if failure.detail else failure.kind)

    def __reduce__(self) -> tuple[type, tuple[Failure]]:
        return type(self), (self.failure,)


class BadMedia(SvmbenchError):
    """One file cannot be decoded. `reason` is a short stable word, e.g. 'no_video', 'unreadable', 'crash', 'timeout'."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}" if detail else reason)

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.reason, self.detail)


class Silent(BadMedia):
    """The media decode, and there is no audio where audio is needed."""


class Leak(SvmbenchError):
    """A split is not clean; the message names the pair."""


class RevisionMismatch(SvmbenchError):
    """Two inputs come from different revisions of the data."""


class BadScores(SvmbenchError):
    """Similarities or scores that cannot be used."""


class FitFailed(SvmbenchError):
    """A fit ended with an error that is none of these; the message names the file with its traceback."""
