"""A receiver that answers nonsense, or names another's token endpoint, harms nobody but itself."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from hub.demo.__main__ import receiving
from tests.builders import a_session
from tests.faults.test_delivery import Receiver, until
from tests.process import Running, a_hub, command


@contextmanager
def answering(*answers: tuple[int, bytes], own_token: bool = False, location: str = "") -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    """A server that answers a GET and a POST with what it is told, and the requests it got: path, headers and body."""
    got: list[tuple[str, dict[str, str], bytes]] = []

    class Answers(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def _answer(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            got.append((f"{self.command} {self.path}", dict(self.headers), sent))
            status, body = answers[self.command == "POST"]
            if own_token and self.command == "GET":
                body = json.dumps({"token_endpoint": f"http://{self.headers['Host']}/token"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if location:
                self.send_header("Location", location)
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


def _told(path: str, got: list[tuple[str, dict[str, str], bytes]]) -> list[dict[str, str]]:
    """Headers of the requests to a path."""
    return [headers for asked, headers, _ in got if asked == path]


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
        assert not [path for _, got in hostile for path, _, _ in got if path.startswith("POST")]


def test_no_receiver_is_handed_a_token_for_another(tmp_path: Path) -> None:
    granted = json.dumps({"access_token": "for-the-other-alone", "expires_in": 300}).encode()
    with answering((404, b"{}"), (200, granted)) as (other, asked):
        named = json.dumps({"token_endpoint": f"{other}/token"}).encode()
        with answering((200, named), (200, b"{}")) as (hostile, got), a_hub(tmp_path / "hub") as city:
            city.upload("center", a_session(), _town(city, hostile=hostile))
            until(lambda: _states(city, "hostile") == ["owed: its token endpoint is at another origin"], "a reason")
            assert asked == []
            assert not [headers for _, headers, _ in got if "Authorization" in headers]


def test_a_receiver_with_a_token_endpoint_of_its_own_is_sent_what_it_is_owed(tmp_path: Path) -> None:
    """The same server answers for discovery, token and delivery."""
    token = json.dumps({"access_token": "its-own", "expires_in": 300}).encode()
    with answering((200, b""), (200, token), own_token=True) as (fair, got), a_hub(tmp_path / "hub") as city:
        city.upload("center", a_session(), _town(city, fair=fair))
        until(lambda: _states(city, "fair") == ["acknowledged: None"], "an acknowledgement")
        assert [headers["Authorization"] for path, headers, _ in got if path == "POST /fhir"] == ["Bearer its-own"]


def test_a_registered_token_endpoint_elsewhere_is_used_as_it_is(tmp_path: Path) -> None:
    token = json.dumps({"access_token": "from-elsewhere", "expires_in": 300}).encode()
    with answering((404, b""), (200, token)) as (issuer, asked), answering((200, b"{}"), (200, b"{}")) as (receiver, got), a_hub(tmp_path / "hub") as city:
        endpoint = f"{issuer}/realms/city/token"
        city.add_party("center", "Center", "fitness-center")
        resident = city.resident("Resident 2", 2)
        city.add_party("city", "city", "city-cloud", "--deliver-to", f"{receiver}/fhir", "--token-url", endpoint)
        assert [party["token_url"] for party in city.cli("party", "list") if party["deliver_to"]] == [endpoint]
        city.grant(resident, "city", "PUBHLTH", "activity")
        city.upload("center", a_session(), resident)
        until(lambda: _states(city, "city") == ["acknowledged: None"], "an acknowledgement")
    assert [path for path, _, _ in asked] == ["POST /realms/city/token"]
    assert [path for path, _, _ in got] == ["POST /fhir"]
    assert _told("POST /fhir", got)[0]["Authorization"] == "Bearer from-elsewhere"
    assert _audience(asked[0][2]) == endpoint


def _audience(form: bytes) -> str:
    content = parse_qs(form.decode())["client_assertion"][0].split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))["aud"])


def test_the_hub_follows_a_receiver_nowhere_else(tmp_path: Path) -> None:
    """Redirected when it asks for the configuration, for a token, and when it delivers: the body of a 307 would go along."""
    with ExitStack() as stack:
        other, reached = stack.enter_context(answering((200, b"{}"), (200, b"{}")))
        moved = {
            "configuration": stack.enter_context(answering((302, b""), (200, b"{}"), location=other)),
            "token": stack.enter_context(answering((200, b""), (307, b""), own_token=True, location=other)),
            "delivery": stack.enter_context(answering((404, b""), (307, b""), location=other)),
        }
        city = stack.enter_context(a_hub(tmp_path / "hub"))
        city.upload("center", a_session(), _town(city, **{name: url for name, (url, _) in moved.items()}))
        until(lambda: _states(city, "configuration") == ["owed: HTTPStatusError"], "a configuration moved")
        until(lambda: _states(city, "token") == ["owed: HTTPStatusError"], "a token endpoint moved")
        until(lambda: _states(city, "delivery") == ["dead: the receiver refused it: HTTP 307"], "a delivery moved")
        assert [path for path, _, _ in moved["delivery"][1]][-1] == "POST /fhir"
        assert reached == []


REFUSED = (
    "ftp://city.example/fhir", "city.example/fhir", "https:///fhir", "https://user:word@city.example/fhir", "https://@city.example/fhir",
    "https://city.example/fhir?to=1", "https://city.example/fhir?", "https://city.example/fhir#a", "http://city.example/fhir", "http://10.0.0.1/fhir",
    "http://localhost.city.example/fhir", "http://127.0.0.1.city.example/fhir", "http://[::2]/fhir", "https://city.example:99999/fhir", "https://city example/",
    "https://city.example\\@127.0.0.1/fhir", "",
)  # fmt: skip
TAKEN = ("https://city.example/fhir", "http://localhost:8080/fhir", "http://127.0.0.1/fhir", "http://127.8.9.1:90/fhir", "http://[::1]:8080/fhir")


@pytest.mark.parametrize(("option", "addresses"), [("--deliver-to", REFUSED), ("--token-url", REFUSED[::5])])
def test_only_addresses_that_records_and_tokens_may_go_to_are_registered(tmp_path: Path, option: str, addresses: tuple[str, ...]) -> None:
    key = tmp_path / "party.jwk"
    for url in addresses:
        line = ["party", "add", "City", "--kind", "city-cloud", "--key-out", str(key), "--deliver-to", "https://city.example/fhir", option, url]
        refused = command(tmp_path / "hub", *line)
        assert (refused.returncode, refused.stdout) == (2, ""), url
        assert option in refused.stderr
        assert not url or url not in refused.stderr
    assert not key.exists()
    assert not (tmp_path / "hub").exists()


def test_an_address_on_this_machine_or_over_https_is_registered(tmp_path: Path) -> None:
    for number, url in enumerate(TAKEN):
        line = ["party", "add", "City", "--kind", "city-cloud", "--key-out", str(tmp_path / f"{number}.jwk"), "--deliver-to", url, "--token-url", url]
        done = command(tmp_path / "hub", *line)
        assert done.returncode == 0, done.stderr


def test_a_token_endpoint_without_deliveries_is_refused(tmp_path: Path) -> None:
    line = ["party", "add", "City", "--kind", "city-cloud", "--key-out", str(tmp_path / "a.jwk"), "--token-url", "https://city.example/token"]
    refused = command(tmp_path / "hub", *line)
    assert (refused.returncode, "--deliver-to" in refused.stderr) == (2, True)
