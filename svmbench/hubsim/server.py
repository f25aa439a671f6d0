"""Two loopback origins, as the real Hub has: the API, and the host of the large files, which must never see a token."""

from __future__ import annotations

import json
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from svmbench.errors import SiteError
from svmbench.hubsim.core import Api, Reply, Request, refusal
from svmbench.hubsim.routes import answer
from svmbench.hubsim.state import TOKEN, Blobs, Fault, Repo, Seen


class Hub:
    """A running loopback Hub.

    endpoint, cdn: the two origins. log: every request. unknown: requests that no route answers; a test asserts that it is empty.
    faults: what shall fail, in order; add to it with fail().
    """

    def __init__(self, api: Api, token: str) -> None:
        self.api, self.token = api, token
        self.log: list[Seen] = []
        self.unknown: list[str] = []
        self.faults: list[Fault] = []
        self._lock = threading.Lock()

    @property
    def endpoint(self) -> str:
        return self.api.endpoint

    @property
    def cdn(self) -> str:
        return self.api.cdn

    @property
    def repos(self) -> dict[str, Repo]:
        return self.api.repos

    def fail(
        self, method: str, pattern: str, what: int | Literal["cut_before", "cut_after"], times: int = 1, **headers: str
    ) -> None:
        """Lets the next `times` requests with this method, whose path has `pattern` in it, fail; see Fault."""
        self.faults.append(Fault(method, pattern, what, times, {k.replace("_", "-"): v for k, v in headers.items()}))

    def fault_for(self, method: str, path: str) -> Fault | None:
        """The fault that this request falls to."""
        with self._lock:
            return next((fault for fault in self.faults if fault.takes(method, path)), None)

    def note(self, seen: Seen, *, unknown: bool) -> None:
        """Writes a request into the log."""
        with self._lock:
            self.log.append(seen)
            if unknown:
                self.unknown.append(f"{seen.origin}: {seen.method} {seen.path}")


class Handler(BaseHTTPRequestHandler):
    """One connection to one origin. `hub` and `origin` are set by a subclass a server."""

    protocol_version = "HTTP/1.1"
    timeout = 120  # seconds an idle connection is kept
    hub: Hub
    origin: Literal["api", "cdn"]

    def log_message(self, *_: object) -> None:
        """Keeps the console quiet: Hub.log has it all."""

    def serve_one(self) -> None:
        address = urlsplit(self.path)
        given = self.headers.get("Authorization")
        body = self._body()
        request = Request(self.command, address.path, dict(parse_qsl(address.query)), body, given == f"Bearer {self.hub.token}")
        fault = self.hub.fault_for(self.command, address.path)
        unknown, reply = False, None
        if fault and isinstance(fault.what, int):
            reply = refusal(fault.what, "Injected", "this failure was asked for", **fault.headers)
        elif not (fault and fault.what == "cut_before"):
            reply = self._answer(request, wrong_token=bool(given) and not request.authorized)
            unknown = reply is None
            reply = reply or refusal(404, "NoRoute", f"the loopback Hub has no route {self.command} {address.path}")
        cut = fault is not None and not isinstance(fault.what, int)
        status = 0 if cut or reply is None else reply.status
        self.hub.note(Seen(self.origin, self.command, address.path, status, bool(given)), unknown=unknown)
        if cut or reply is None:
            self.close_connection = True
            return
        self._send(reply)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = serve_one

    def _answer(self, request: Request, *, wrong_token: bool) -> Reply | None:
        if wrong_token and self.origin == "api":
            return refusal(401, "Unauthorized", "Invalid username or password.")
        try:
            return answer(self.hub.api, self.origin, request)
        except (ValueError, KeyError) as error:  # a body that is not what the route takes
            return refusal(400, "BadRequest", f"{type(error).__name__}: {error}")

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(body)

    def _send(self, reply: Reply) -> None:
        headers = {"Content-Type": "application/json", **reply.headers}
        if isinstance(reply.body, Path):
            self._send_file(reply.body, headers)
            return
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self._head(reply.status, headers, len(body))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_file(self, path: Path, headers: dict[str, str]) -> None:
        """A whole file, or the range that was asked for."""
        size = path.stat().st_size
        headers |= {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        span = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        first, last, status = 0, size - 1, 200
        if span and (span[1] or span[2]):
            first = int(span[1]) if span[1] else max(0, size - int(span[2]))
            last = min(int(span[2]), size - 1) if span[1] and span[2] else size - 1
            if first > last:
                self._head(416, {**headers, "Content-Range": f"bytes */{size}"}, 0)
                return
            headers["Content-Range"], status = f"bytes {first}-{last}/{size}", 206
        self._head(status, headers, last - first + 1)
        if self.command == "HEAD":
            return
        with open(path, "rb") as handle:
            handle.seek(first)
            left = last - first + 1
            while left:
                block = handle.read(min(left, 1 << 20))
                self.wfile.write(block)
                left -= len(block)

    def _head(self, status: int, headers: dict[str, str], size: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(size))
        self.end_headers()


@contextmanager
def serve(
    folder: Path | None = None,
    *,
    port: int = 0,
    token: str = TOKEN,
    user: str = "rehearsal",
    owner: str | None = None,
    part_bytes: int | None = None,
) -> Iterator[Hub]:
    """A loopback Hub while the with-block runs; port 0 takes a free one. Repositories are forgotten at the end.

    folder: where file contents go, a temporary one by default. token: the only one that is accepted. owner: the only namespace
    that may be written, None for any. part_bytes: files above this size are uploaded in parts of it.
    """
    with ExitStack() as stack:
        root = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="svmbench-hub-")))
        api = Api(Blobs(root / "blobs"), user=user, owner=owner, part_bytes=part_bytes)
        hub = Hub(api, token)
        api.endpoint = stack.enter_context(_origin(hub, "api", port))
        api.cdn = stack.enter_context(_origin(hub, "cdn", 0))
        yield hub


@contextmanager
def _origin(hub: Hub, origin: Literal["api", "cdn"], port: int) -> Iterator[str]:
    """One server on 127.0.0.1 in a thread; yields its URL."""
    handler = type("OriginHandler", (Handler,), {"hub": hub, "origin": origin})
    try:
        server = _Server(("127.0.0.1", port), handler)
    except OSError as error:
        raise SiteError(f"the loopback Hub cannot take port {port} ({error.strerror}); choose another with --port") from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is no news; anything else is."""
        import sys

        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            with suppress(Exception):
                super().handle_error(request, client_address)  # type: ignore[arg-type]
