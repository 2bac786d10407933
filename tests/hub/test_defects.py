"""A defect of ours is answered and logged without the text of the exception, which may quote a person's value."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from hub.app import application
from hub.defects import keep_silent
from hub.settings import load
from hub.store import keyring

VALUE = "阮渁稁 7341.337"


async def broken(request: Request) -> Response:
    raise ValueError(VALUE)


async def broken_midway(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"begun"
        raise ValueError(VALUE)

    return StreamingResponse(parts())


def test_a_defect_is_answered_and_its_text_is_in_no_log(
    hub_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async def work() -> None:
        settings = load(tmp_path)
        keyring.create(settings.keyring)
        app = application(settings, hub_url)
        for name, endpoint in (("/fhir/broken", broken), ("/broken", broken), ("/midway", broken_midway)):
            app.add_route(name, endpoint)
            app.router.routes.insert(0, app.router.routes.pop())
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, log_level="debug"))
            serving = asyncio.create_task(server.serve([listener]))
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as http:
                for path in ("/fhir/broken", "/broken") * 3:
                    answer = await http.get(path)
                    assert answer.status_code == 500
                    assert VALUE not in answer.text
                    assert f"request {answer.headers['x-request-id']}: ValueError at test_defects.py" in caplog.text
                with pytest.raises(httpx.RemoteProtocolError):
                    await http.get("/midway")
            server.should_exit = True
            await serving

    caplog.set_level(logging.DEBUG)
    asyncio.run(work())
    assert caplog.text.count("ValueError at") == 7
    assert VALUE not in caplog.text + "".join(capfd.readouterr())


def test_what_fails_in_the_background_is_named_and_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        keep_silent()

        async def fail() -> None:
            raise ValueError(VALUE)

        done = asyncio.create_task(fail())
        await asyncio.wait([done])

    asyncio.run(work())
    assert "ValueError at test_defects.py" in caplog.text
    assert VALUE not in caplog.text
