"""Keys in the transit engine of Vault or OpenBao: `vault://HOST[:PORT]/MOUNT` over HTTPS, `vault+http://` to this machine alone.

Only what their API documents is used: keys (create, list, config, delete), encrypt and decrypt with `associated_data`. A key has one
version for all its life; a rotation makes another key, so that a destroyed one is a deleted one.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from hub.store.backend import Breaker, down, missing
from hub.store.seal import bound
from schemas.errors import SealError, Unavailable

TIMEOUT = httpx.Timeout(3.0, connect=1.0)
_NO_KEY = "encryption key not found"


class Transit:
    """A transit engine at its mount, with a token that may use the keys of this keyring."""

    remote = True

    def __init__(self, store: str, token: str, prefix: str) -> None:
        self._prefix, self._breaker = prefix, Breaker()
        # Plain http stays on this machine, and so goes through no proxy of the environment's: it would read keys.
        here = {"http://": httpx.HTTPTransport()}
        self._http = httpx.Client(base_url=_address(store), headers={"X-Vault-Token": token}, timeout=TIMEOUT, mounts=here)

    def make(self, name: str) -> None:
        self._asked("POST", f"keys/{self._prefix}{name}", name, {"type": "aes256-gcm96"})
        self._asked("POST", f"keys/{self._prefix}{name}/config", name, {"deletion_allowed": True})

    def wrap(self, name: str, value: bytes, *where: bytes) -> bytes:
        body = {"plaintext": _text(value), "associated_data": _text(bound(*where))}
        return str(self._asked("POST", f"encrypt/{self._prefix}{name}", name, body)["ciphertext"]).encode()

    def unwrap(self, name: str, wrapped: bytes, *where: bytes) -> bytes:
        body = {"ciphertext": wrapped.decode("ascii", "replace"), "associated_data": _text(bound(*where))}
        return base64.b64decode(self._asked("POST", f"decrypt/{self._prefix}{name}", name, body)["plaintext"])

    def destroy(self, name: str) -> None:
        if name in self.held():
            self._asked("POST", f"keys/{self._prefix}{name}/config", name, {"deletion_allowed": True})
            self._asked("DELETE", f"keys/{self._prefix}{name}", name)

    def held(self) -> set[str]:
        names = self._asked("LIST", "keys").get("keys", [])
        return {name.removeprefix(self._prefix) for name in names if name.startswith(self._prefix)}

    def close(self) -> None:
        self._http.close()

    def _asked(self, method: str, path: str, name: str = "", body: Mapping[str, object] | None = None) -> dict[str, Any]:
        """The `data` of an answer; nothing for an empty listing. What the engine says is said in our words."""
        with self._breaker.trying():
            try:
                answer = self._http.request(method, path, json=body)
            except httpx.HTTPError as error:
                raise down(f"cannot be reached ({type(error).__name__})") from None
            if answer.status_code == 404 and method == "LIST" and not _errors(answer):
                return {}
            if not answer.is_success:
                raise _said(answer, name)
            try:
                return dict(answer.json().get("data") or {}) if answer.content else {}
            except ValueError:
                raise down("does not answer as a transit engine") from None


def _address(store: str) -> str:
    url = urlsplit(store)
    plain = url.scheme == "vault+http"
    if not url.hostname or not url.path.strip("/") or url.query or url.username:
        raise Unavailable("KINEHUB_KEYRING must be vault://HOST[:PORT]/MOUNT.")
    if plain and url.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise Unavailable("KINEHUB_KEYRING may be vault+http:// only to this machine; use vault:// (HTTPS).")
    return f"{'http' if plain else 'https'}://{url.netloc}/v1/{url.path.strip('/')}/"


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _errors(answer: httpx.Response) -> list[str]:
    try:
        return [str(error) for error in answer.json().get("errors") or []]
    except (ValueError, AttributeError):
        return []


def _said(answer: httpx.Response, name: str) -> Unavailable | SealError:
    errors = " ".join(_errors(answer))
    if answer.status_code == 403:
        return Unavailable("The key back end refuses the token.", advice="KINEHUB_KEYRING_SECRET_FILE names its file; its policy must allow these keys.")
    if answer.status_code == 404 and not errors:
        return missing(name)
    if answer.status_code == 404:
        return Unavailable("There is no transit engine at that mount.", advice="Name the mount in KINEHUB_KEYRING.")
    if answer.status_code == 400 and _NO_KEY in errors:
        return missing(name)
    if answer.status_code == 400 and name:
        return SealError("A wrapped key does not belong where it lies.")
    return down("is sealed or not ready" if answer.status_code == 503 else f"answers {answer.status_code}")
