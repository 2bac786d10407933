"""A small server of ours that speaks the documented API of the transit engine (Vault, OpenBao): keys, config, encrypt, decrypt, LIST, DELETE.

It answers with the status codes and error texts of OpenBao's source. No real one runs in the tests.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN = "s.a-token-of-the-tests"
MOUNT = "transit"


class Engine:
    """Keys by name, what was asked, whether the engine is sealed, and the beginning of the requests that fail."""

    def __init__(self) -> None:
        self.keys: dict[str, bytes] = {}
        self.deletable: set[str] = set()
        self.asked: list[str] = []
        self.sealed = False
        self.broken: str | None = None
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def address(self) -> str:
        return f"vault+http://127.0.0.1:{self.port}/{MOUNT}"

    @property
    def runs(self) -> bool:
        return self._server is not None

    def start(self) -> None:
        handler = type("Handler", (_Handler,), {"engine": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            server.shutdown()
            server.server_close()

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        parts = path.removeprefix("/v1/").strip("/").split("/")
        if parts[0] != MOUNT:
            return 404, {"errors": [f'no handler for route "{path.removeprefix("/v1/")}". route entry not found.']}
        match method, parts[1:]:
            case "LIST", ["keys"]:
                return (200, {"data": {"keys": sorted(self.keys)}}) if self.keys else (404, {"errors": []})
            case "POST", ["keys", name]:
                self.keys.setdefault(name, os.urandom(32))
                return 200, {"data": {"name": name, "type": body.get("type", "aes256-gcm96"), "latest_version": 1}}
            case "POST", ["keys", name, "config"] if name in self.keys:
                (self.deletable.add if body.get("deletion_allowed") else self.deletable.discard)(name)
                return 200, {"data": {"name": name}}
            case "DELETE", ["keys", name] if name in self.keys:
                if name not in self.deletable:
                    return 400, {"errors": ["error deleting policy: deletion is not allowed for this key"]}
                del self.keys[name]
                return 204, None
            case "POST", ["encrypt" | "decrypt", name] if name not in self.keys:
                return 400, {"errors": ["encryption key not found"]}
            case "POST", ["encrypt", name]:
                nonce = os.urandom(12)
                sealed = nonce + AESGCM(self.keys[name]).encrypt(nonce, _raw(body["plaintext"]), _raw(body.get("associated_data", "")))
                return 200, {"data": {"ciphertext": f"vault:v1:{base64.b64encode(sealed).decode()}", "key_version": 1}}
            case "POST", ["decrypt", name]:
                try:
                    sealed = _raw(body["ciphertext"].removeprefix("vault:v1:"))
                    plain = AESGCM(self.keys[name]).decrypt(sealed[:12], sealed[12:], _raw(body.get("associated_data", "")))
                except (InvalidTag, ValueError):
                    return 400, {"errors": ["invalid ciphertext: unable to decrypt"]}
                return 200, {"data": {"plaintext": base64.b64encode(plain).decode()}}
        return 405, {"errors": ["unsupported operation"]}


class _Handler(BaseHTTPRequestHandler):
    engine: Engine
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def _do(self) -> None:
        if not self.engine.runs:
            self.close_connection = True
            return
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        self.engine.asked.append(f"{self.command} {self.path}")
        if self.engine.sealed:
            self._send(503, {"errors": ["Vault is sealed"]})
        elif self.engine.broken and f"{self.command} {self.path}".startswith(self.engine.broken):
            self._send(500, {"errors": ["1 error occurred"]})
        elif self.headers.get("X-Vault-Token") != TOKEN:
            self._send(403, {"errors": ["permission denied"]})
        else:
            self._send(*self.engine.answer(self.command, self.path, body))

    do_GET = do_POST = do_DELETE = do_LIST = _do  # noqa: N815 - names that http.server looks for

    def _send(self, status: int, body: dict[str, Any] | None) -> None:
        content = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def _raw(text: str) -> bytes:
    return base64.b64decode(text)


@contextmanager
def an_engine() -> Iterator[Engine]:
    """A running engine, stopped on the way out."""
    engine = Engine()
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()
