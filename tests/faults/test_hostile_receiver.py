"""A receiver that answers nonsense, or names another's token endpoint, harms nobody but itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from hub.demo.__main__ import receiving
from tests.builders import a_session
from tests.faults.test_delivery import Receiver, until
from tests.process import Running, a_hub


@contextmanager
def answering(*answers: tuple[int, bytes], own_token: bool = False) -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """A server that answers a GET and a POST with what it is told, and the requests it got: path and headers."""
    got: list[tuple[str, dict[str, str]]] = []

    class Answers(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def _answer(self) -> None:
            got.append((f"{self.command} {self.path}", dict(self.headers)))
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = answers[self.command == "POST"]
            if own_token and self.command == "GET":
                body = json.dumps({"token_endpoint": f"http://{self.headers['Host']}/token"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815 - names of http.server

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _town(city: Running, **receivers: str) -> str:
    """A resident who lets every receiver have their activity."""
    city.add_party("center", "Center", "fitness-center")
    resident = city.resident("Resident 2", 2)
    for name, url in receivers.items():
        city.add_party(name, name, "city-cloud", "--deliver-to", f"{url}/fhir")
        city.grant(resident, name, "PUBHLTH", "activity")
    return resident


def _states(city: Running, receiver: str) -> list[str]:
    return [f"{row['status']}: {row['reason']}" for row in city.cli("delivery", "list") if row["receiver"] == receiver and row["status"] != "suppressed"]


NONSENSE = (b"<!doctype html>", b"[]", b"{}", b'{"token_endpoint":5}', b'{"token_endpoint":"http://[::"}', b'{"x":"' + b"x" * 300_000 + b'"}')


def test_receivers_that_answer_nonsense_keep_nobody_waiting(tmp_path: Path) -> None:
    with ExitStack() as stack:
        hostile = [stack.enter_context(answering((200, answer), (200, b"<!doctype html>"))) for answer in NONSENSE]
        honest, city = stack.enter_context(receiving()), stack.enter_context(a_hub(tmp_path / "hub"))
        urls = {f"hostile{number}": url for number, (url, _) in enumerate(hostile)}
        resident = _town(city, **urls, honest=honest)
        key = f"{city.upload('center', a_session(), resident)['records'][0]['record_id']}.1"
        until(lambda: Receiver(honest).stored(resident) == [key], "the honest receiver's record")
        for name in urls:
            until(lambda name=name: [state[:6] for state in _states(city, name)] == ["owed: "], f"a reason for {name}")  # type: ignore[misc]
        assert not [path for _, got in hostile for path, _ in got if path.startswith("POST")]


def test_no_receiver_is_handed_a_token_for_another(tmp_path: Path) -> None:
    granted = json.dumps({"access_token": "for-the-other-alone", "expires_in": 300}).encode()
    with answering((404, b"{}"), (200, granted)) as (other, asked):
        named = json.dumps({"token_endpoint": f"{other}/token"}).encode()
        with answering((200, named), (200, b"{}")) as (hostile, got), a_hub(tmp_path / "hub") as city:
            city.upload("center", a_session(), _town(city, hostile=hostile))
            until(lambda: _states(city, "hostile") == ["owed: its token endpoint is at another origin"], "a reason")
            assert asked == []
            assert not [headers for _, headers in got if "Authorization" in headers]


def test_a_receiver_with_a_token_endpoint_of_its_own_is_sent_what_it_is_owed(tmp_path: Path) -> None:
    """The same server answers for discovery, token and delivery."""
    token = json.dumps({"access_token": "its-own", "expires_in": 300}).encode()
    with answering((200, b""), (200, token), own_token=True) as (fair, got), a_hub(tmp_path / "hub") as city:
        city.upload("center", a_session(), _town(city, fair=fair))
        until(lambda: _states(city, "fair") == ["acknowledged: None"], "an acknowledgement")
        assert [headers["Authorization"] for path, headers in got if path == "POST /fhir"] == ["Bearer its-own"]
