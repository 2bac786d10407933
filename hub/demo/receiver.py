"""A city health cloud to try the delivery with: a process of its own that can be slow, refuse, flap, or lose its answer.

    python -m hub.demo.receiver PORT

POST /fhir takes transaction Bundles, idempotent by their Idempotency-Key; PUT /control with {"mode": …} changes its mood:
`up`, `error` (500), `flap` (every other request 503), `lose` (stores, then drops the connection), `slow` (2 s), `refuse` (422);
GET /control lists what arrived, in order, and how often each key was offered. It keeps everything in memory.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _State:
    """What arrived and the mood."""

    def __init__(self) -> None:
        self.mode = "up"
        self.requests = 0
        self.offered: Counter[str] = Counter()
        self.stored: dict[str, dict[str, Any]] = {}
        self.lock = threading.Lock()


class Receiver(BaseHTTPRequestHandler):
    """One request to the receiver."""

    state: _State

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: what arrives is people's data."""

    def do_GET(self) -> None:
        if self.path != "/control":
            self._answer(404, {})
            return
        with self.state.lock:
            self._answer(200, {"mode": self.state.mode, "offered": dict(self.state.offered), "stored": list(self.state.stored.values())})

    def do_PUT(self) -> None:
        with self.state.lock:
            self.state.mode = json.loads(self._body())["mode"]
        self._answer(200, {})

    def do_POST(self) -> None:
        body, key = self._body(), self.headers.get("Idempotency-Key", "")
        with self.state.lock:
            self.state.requests += 1
            self.state.offered[key] += 1
            mode, number = self.state.mode, self.state.requests
        if mode == "slow":
            time.sleep(2)
        if mode == "error" or (mode == "flap" and number % 2):
            self._answer(503 if mode == "flap" else 500, {})
            return
        if mode == "refuse":
            self._answer(422, {})
            return
        self._store(key, json.loads(body))
        if mode == "lose":
            self.close_connection = True
            return
        self._answer(200, {"resourceType": "Bundle", "type": "transaction-response"})

    def _store(self, key: str, bundle: dict[str, Any]) -> None:
        resources = [entry["resource"] for entry in bundle["entry"]]
        subjects = {found for resource in resources if (found := (resource.get("subject") or resource.get("patient") or {}).get("reference"))}
        with self.state.lock:
            self.state.stored.setdefault(
                key, {"key": key, "subjects": sorted(subjects), "types": sorted({r["resourceType"] for r in resources}), "resources": len(resources)}
            )

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/fhir+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until killed; prints one line with the port when ready."""
    Receiver.state = _State()
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Receiver)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
