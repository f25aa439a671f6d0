"""The process of the embedded platform: one loopback port that is an HTTP proxy and answers every request itself.

CONNECT to a host of the platform is answered with TLS under a certificate made for this process; any other host gets 502. Nothing
is ever sent on. Plain requests to the port's own address are the control channel of crawl.replica.site, which started us.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import ssl
import sys
import threading
import time
import traceback
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from crawl.replica.control import Control
from crawl.replica.pages import Answer, Pages, Request
from crawl.replica.research import Research
from crawl.replica.youtube import YouTube

SITES = (Pages, YouTube, Research)  # each with HOSTS, (catalogue, requests_per_s), answer(request) and set_wall(word, after)
HOSTS = frozenset(host for site in SITES for host in site.HOSTS)
CHUNK_BYTES = 256 * 1024
BODY_BYTES_MAX = 2**20  # ours
IDLE_S = 60  # a silent connection is closed after this; ours
GONE = (BrokenPipeError, ConnectionResetError, TimeoutError, ssl.SSLError)


class Server(ThreadingHTTPServer):
    """Counts and logs what it was asked; a thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, sites: Sequence[Any], tls: ssl.SSLContext, latency_s: float, page_bytes: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.sites, self.tls, self.latency_s, self.page_bytes = sites, tls, latency_s, page_bytes
        self.by_host = {host: site for site in sites for host in site.HOSTS}
        self.orders = Control()
        self._hits: Counter[str] = Counter()
        self._log: list[tuple[float, str, str, int]] = []
        self._lock = threading.Lock()

    def note(self, kind: str, host: str, target: str, status: int, came_s: float | None = None) -> None:
        """One request was answered. came_s: when it came (monotonic), where that is not now."""
        with self._lock:
            self._hits[kind] += 1
            if status == 429:
                self._hits["throttled"] += 1
            self._log.append((time.monotonic() if came_s is None else came_s, host, target, status))

    def control(self, target: str) -> Any:
        """What the control channel answers."""
        url = urlsplit(target)
        query = dict(parse_qsl(url.query))
        with self._lock:
            if url.path == "/hits":
                return dict(self._hits)
            if url.path == "/log":
                return self._log
        if url.path == "/wall":
            for site in self.sites:
                site.set_wall(query["word"], int(query["after"]) if "after" in query else None)
            return True
        if url.path == "/order":
            return self.orders.order(query["what"], json.loads(query["values"]))
        return None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A visitor that hung up is no error; anything else is a defect, counted and printed."""
        if not isinstance(sys.exc_info()[1], GONE):
            self.note("defect", "", "", 0)
            traceback.print_exc()


class Handler(BaseHTTPRequestHandler):
    """One connection: proxy requests, or a tunnel with requests inside."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "svmbench", ""
    timeout = IDLE_S
    disable_nagle_algorithm = True
    wbufsize = -1
    tunnel_host = ""
    body = b""

    def log_message(self, format: str, *args: Any) -> None:
        """The log is kept by Server.note."""

    def do_CONNECT(self) -> None:
        """Opens a tunnel to a host of the platform, and serves what comes through it."""
        host, _, port = self.path.rpartition(":")
        if host not in HOSTS or port != "443":
            return self._foreign(host or self.path)
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.wfile.flush()
        self.connection = self.request = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb", -1), self.connection.makefile("wb", -1)
        self.tunnel_host, self.close_connection = host, False
        try:
            while not self.close_connection:
                self.handle_one_request()
        finally:
            self._hang_up()

    def do_GET(self) -> None:
        """A request inside a tunnel, to the proxy, or to the control channel."""
        url = urlsplit(self.path)
        if self.tunnel_host:
            return self._platform()
        if not url.scheme:
            found = self.server.control(self.path)
            return self._text(200 if found is not None else 404, json.dumps(found), "application/json")
        host = url.hostname or ""
        if host not in HOSTS:
            return self._foreign(host)
        self.server.note("plain_http", host, url.path, 301)
        self._text(301, "", headers=(("Location", f"https://{host}{url.path}{'?' + url.query if url.query else ''}"),))

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """A request with a body, which is read whole where its length is told and fair; else the connection ends here."""
        length = self.headers.get("Content-Length", "")
        if self.tunnel_host and length.isdecimal() and int(length) <= BODY_BYTES_MAX:
            self.body = self.rfile.read(int(length))
        else:
            self.close_connection = True
        self.do_GET()

    def _foreign(self, host: str) -> None:
        self.server.note("foreign", host, self.path, 502)
        self.close_connection = True
        self._text(502, f"svmbench's embedded platform does not forward requests; {host} is not one of its hosts\n", "text/plain")

    def _platform(self) -> None:
        came_s = time.monotonic()
        if self.server.latency_s:
            time.sleep(self.server.latency_s)
        request = Request(host=self.tunnel_host, target=self.path, headers=self.headers, method=self.command, body=self.body)
        self.body = b""
        answer = self.server.orders.apply(self.server.by_host[request.host].answer(request), request.host)
        self.server.note(answer.kind, request.host, request.target, answer.status, came_s)
        time.sleep(answer.wait_s)
        if answer.hang_up:
            self.close_connection = True
        elif answer.file is None:
            self._text(answer.status, self._filled(answer), answer.mime, answer.headers)
        else:
            self._file(answer, answer.file)

    def _filled(self, answer: Answer) -> str:
        """The body; that of a post's page with a comment at its end, where it is to be as large as a real one."""
        lack = self.server.page_bytes - len(answer.body) - len("<!---->")
        return f"{answer.body}<!--{' ' * lack}-->" if answer.kind == "video_page" and lack > 0 else answer.body

    def _text(
        self, status: int, body: str, mime: str = "text/html; charset=utf-8", headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        data = body.encode()
        self._head(status, mime, len(data), headers)
        if self.command != "HEAD":
            self.wfile.write(data)
        self.wfile.flush()

    def _file(self, answer: Answer, path: Path) -> None:
        stop = answer.stop if answer.cut is None else min(answer.stop, max(answer.cut, answer.start))
        self._head(answer.status, answer.mime, answer.stop - answer.start, answer.headers)
        if self.command != "HEAD":
            with path.open("rb") as file:
                file.seek(answer.start)
                left = stop - answer.start
                while left > 0 and (chunk := file.read(min(left, CHUNK_BYTES))):
                    self.wfile.write(chunk)
                    left -= len(chunk)
        self.wfile.flush()
        if stop < answer.stop:
            self.close_connection = True

    def _head(self, status: int, mime: str, size: int, headers: tuple[tuple[str, str], ...]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", mime)
        self.send_header("Content-Length", str(size))
        for name, value in headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _hang_up(self) -> None:
        """Ends TLS, so that a short body reads as short and not as an attack, and does not wait for the other side."""
        self.connection.settimeout(0)
        with suppress(OSError, ValueError):
            self.connection.unwrap()
        self.connection.close()


def make_tls(folder: Path) -> tuple[ssl.SSLContext, str]:
    """The context of a fresh key, and the key's base64 pin; the certificate of its fresh authority goes to folder/ca.pem."""
    authority = trustme.CA()
    leaf = authority.issue_cert(*sorted(HOSTS))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    key = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).public_key()
    pin = sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    return context, b64encode(pin).decode()


def main() -> None:
    """Serves until the starter closes our standard input, by choice or by dying. Says in one line of JSON when it is ready."""
    order = json.loads(sys.argv[1])
    folder = Path(order["folder"])
    tls, pin = make_tls(folder)
    sites = [site(Path(order["catalogue"]), order["requests_per_s"]) for site in SITES]
    try:
        server = Server(order["port"], sites, tls, order["latency_s"], order["page_bytes"])
    except (OSError, OverflowError) as error:
        print(json.dumps({"error": getattr(error, "strerror", None) or str(error)}), flush=True)
        return
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 5}, daemon=True).start()
    print(json.dumps({"port": server.server_address[1], "pin": pin}), flush=True)
    starter = os.getppid()
    while os.getppid() == starter and not select.select([sys.stdin], [], [], 1.0)[0]:
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)  # without waiting for visitors
