"""How the crawler reaches a platform: straight, or through the embedded platform's loopback proxy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Plain strings, so that it travels to Ray workers. Access() is the live internet.

    proxy_url: http://127.0.0.1:PORT for every request.
    spki_pin: base64 SHA-256 of the site's public key, for Chromium's
        --ignore-certificate-errors-spki-list, which trusts this key and no other.
    ca_file: PEM file of the authority that signed it, for yt-dlp and for our own requests.
    """

    proxy_url: str | None = None
    spki_pin: str | None = None
    ca_file: str | None = None
