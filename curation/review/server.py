"""`svmbench review RUN`: the page on loopback, for one reviewer. Only this machine, and there only who knows the address.

Every path begins with a random token. The Host header must name this server, so that no other site's name can be turned to it;
what is written needs this page's Origin as well. A file is found by its clip's id alone, never by a path.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from types import TracebackType
from typing import Any
from urllib.parse import unquote

from curation.review.session import Session
from svmbench.errors import BadInput, SiteError, StorageError
from svmbench.recipe import Recipe
from svmbench.store import RunFolder

HOST = "127.0.0.1"
LONGEST_BODY = 4096  # ours: bytes of a decision
BLOCK = 1 << 18
ASSETS = {
    "": ("page.html", "text/html"), "page.css": ("page.css", "text/css"), "page.js": ("page.js", "text/javascript"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}  # fmt: skip
MEDIA_TYPES = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm", ".mkv": "video/x-matroska",
    ".ogv": "video/ogg", ".ogg": "audio/ogg", ".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".wav": "audio/wav",
}  # fmt: skip
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; media-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def serve(
    recipe: Recipe, run: RunFolder, *, reviewer: str, port: int = 0, second: float = 0.1, blind: float = 0.1, seed: int = 0
) -> Page:
    """Starts the page and returns it. port: 0 takes a free one. second: share of other reviewers' clips that this one decides
    again. blind: share of clips that are shown without what the filter says."""
    session = Session(recipe, run, reviewer, second=second, blind=blind, seed=seed)
    try:
        return Page(_Server(port, session))
    except (OSError, OverflowError) as error:
        raise SiteError(f"port {port} on {HOST} cannot be used ({error}); leave --port out to take a free one") from error


class Page:
    """The page while it is served: a context manager that stops the server at its end."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the page is, with the token that opens it."""
        return f"http://{self._server.hosts[0]}/{self._server.token}/"

    def wait(self) -> None:
        """Until somebody interrupts."""
        self._thread.join()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()
        self._thread.join()

    def __enter__(self) -> Page:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _Refused(Exception):
    """A request that is not served, with the status and the reason that the client is told."""

    def __init__(self, status: HTTPStatus, why: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(why)
        self.status, self.headers = status, headers or {}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, session: Session) -> None:
        self.session, self.token = session, secrets.token_urlsafe(24)
        super().__init__((HOST, port), _Handler)
        self.open: set[Any] = set()
        self.hosts = tuple(f"{name}:{self.server_address[1]}" for name in (HOST, "localhost"))

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Ends the connections that browsers keep open: a page of a server that was closed must not be served on."""
        for request in list(self.open):
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of a film is no error; anything else is, and is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "svmbench", ""
    timeout = 60

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_HEAD(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, work: Callable[[str], None]) -> None:
        """The one place where a request is refused. Ends the connection then: what was sent with it may not have been read."""
        try:
            work(self._name())
        except _Refused as refusal:
            self.close_connection = True
            content = json.dumps({"error": str(refusal)}).encode()
            self._reply(refusal.status, content, "application/json", {**refusal.headers, "Connection": "close"})

    def _get(self, name: str) -> None:
        if name in ASSETS:
            file, kind = ASSETS[name]
            self._reply(HTTPStatus.OK, resources.files("curation.review").joinpath(file).read_bytes(), kind)
        elif name == "state":
            self._json(self.server.session.state(rest=self.path.endswith("?rest=1")))
        elif name == "summary":
            self._json(self.server.session.summary())
        elif name.startswith("media/"):
            self._media(unquote(name.removeprefix("media/")))
        else:
            raise _Refused(HTTPStatus.NOT_FOUND, "there is no such page")

    def _post(self, name: str) -> None:
        session, values = self.server.session, self._body()
        rest = values.get("rest") is True
        try:
            if name == "decide":
                words = [values.get(key, "") for key in ("clip_id", "verdict", "reason")]
                if not all(isinstance(word, str) for word in words):
                    raise BadInput("clip_id, verdict and reason are texts")
                self._json(session.decide(*words, rest=rest))
            elif name == "undo":
                self._json(session.undo(rest=rest))
            else:
                raise _Refused(HTTPStatus.NOT_FOUND, "there is no such page")
        except BadInput as error:
            raise _Refused(HTTPStatus.CONFLICT, str(error)) from error
        except (StorageError, OSError) as error:
            raise _Refused(HTTPStatus.INSUFFICIENT_STORAGE, f"the decision could not be written: {error}") from error

    def _name(self) -> str:
        """What is asked for, without the token."""
        if self.headers.get("Host", "") not in self.server.hosts:
            raise _Refused(HTTPStatus.MISDIRECTED_REQUEST, "this server answers to its own address only")
        token, slash, name = self.path.partition("?")[0].removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode(), self.server.token.encode()) or not slash:
            raise _Refused(HTTPStatus.NOT_FOUND, "open the address that svmbench review printed")
        return name

    def _body(self) -> dict[str, Any]:
        """The values of a POST."""
        if (
            self.headers.get("Origin") != f"http://{self.headers['Host']}"
            or self.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin"
        ):
            raise _Refused(HTTPStatus.FORBIDDEN, "only the review page itself may write")
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > LONGEST_BODY:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"send a Content-Length of at most {LONGEST_BODY}")
        try:
            values = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise _Refused(HTTPStatus.BAD_REQUEST, "send a JSON object") from error
        if not isinstance(values, dict):
            raise _Refused(HTTPStatus.BAD_REQUEST, "send a JSON object")
        return values

    def _media(self, clip_id: str) -> None:
        path = self.server.session.media(clip_id)
        if path is None:
            raise _Refused(HTTPStatus.NOT_FOUND, "this clip's file is not in the run")
        with open(path, "rb") as film:
            size = film.seek(0, os.SEEK_END)
            asked = byte_range(self.headers.get("Range"), size)
            headers = {"Accept-Ranges": "bytes", "Cache-Control": "private, max-age=3600", "ETag": f'"{path.stem}"'}
            if asked is None:
                status, first, last = HTTPStatus.OK, 0, size - 1
            else:
                status, (first, last) = HTTPStatus.PARTIAL_CONTENT, asked
                if first > last:
                    reach = {"Content-Range": f"bytes */{size}"}
                    raise _Refused(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "the file has no such bytes", reach)
                headers["Content-Range"] = f"bytes {first}-{last}/{size}"
            self._head(status, last - first + 1, MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream"), headers)
            film.seek(first)
            left = 0 if self.command == "HEAD" else last - first + 1
            while left > 0 and (block := film.read(min(BLOCK, left))):
                self.wfile.write(block)
                left -= len(block)

    def _json(self, values: Any) -> None:
        self._reply(HTTPStatus.OK, json.dumps(values, allow_nan=False).encode(), "application/json")

    def _reply(self, status: HTTPStatus, content: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        text = f"{kind}; charset=utf-8"
        self._head(status, len(content), text, {"Cache-Control": "no-store", **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(content)

    def _head(self, status: HTTPStatus, length: int, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *words: Any) -> None:
        """Nothing: the address holds the token, and does not belong on a terminal's scroll or in a log."""


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte that a Range header asks for; the first lies behind the last where the file has no such byte.

    None where all of the file is to be sent: without the header, and for several stretches or one that makes no sense, which a
    server may ignore (RFC 9110, section 14.2).
    """
    found = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", header or "")
    if not found or not (found[1] or found[2]):
        return None
    if not found[1]:
        return (max(size - int(found[2]), 0), size - 1) if int(found[2]) else (size, size - 1)
    if found[2] and int(found[2]) < int(found[1]):
        return None
    return int(found[1]), min(int(found[2] or size - 1), size - 1)
