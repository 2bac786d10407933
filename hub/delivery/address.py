"""Addresses of receivers: what may be registered, and which are at the same place."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx

from schemas.errors import BadRequest


def checked(url: str) -> str:
    """The URL, when records and tokens may be sent there. Raises BadRequest."""
    if fault := _fault(url):
        raise BadRequest(fault)
    return url


def _fault(url: str) -> str | None:
    try:
        parts, split = httpx.URL(url), urlsplit(url)
        whole = bool(parts.host) and split.port != 0  # asking for a port beyond 65535 raises
    except (httpx.InvalidURL, ValueError):
        return "This is not a URL."
    if parts.scheme not in ("http", "https") or not whole or any(letter.isspace() for letter in url):
        return "It must be a whole URL that begins with https://, or http:// for this machine."
    if "@" in split.netloc:
        return "A URL with a user name or password is not taken; the hub signs in with its key."
    if "?" in url or "#" in url:
        return "A URL with a query or a fragment is not taken."
    if parts.scheme == "http" and not _is_loopback(parts.host):
        return "Records leave this machine over https only."
    return None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port. Raises httpx.InvalidURL."""
    parts = httpx.URL(url)
    return parts.scheme, parts.host, parts.port
