"""Containerfile and compose.yaml stay in step with the settings, the command line and the project, without a container engine."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import click
import msgspec
import yaml

from hub.cli import cli
from hub.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docker"
VARIABLES = {f"KINEHUB_{field.name.upper()}" for field in msgspec.structs.fields(Settings)} - {"KINEHUB_DATA_DIR", "KINEHUB_KEYRING_STORE"}
"""Variables that are settings; where the keys live is read off KINEHUB_KEYRING."""
_NAME = re.compile(r"KINEHUB_[A-Z_]+")


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _compose() -> dict[str, Any]:
    content = yaml.safe_load(_text("compose.yaml"))
    assert isinstance(content, dict)
    return content


def _ours() -> dict[str, dict[str, Any]]:
    return {name: service for name, service in _compose()["services"].items() if service["image"] == "kinehub"}


def test_every_variable_used_is_a_setting_and_every_setting_is_passed_on() -> None:
    for name in ("Containerfile", "compose.yaml", "example.env"):
        assert set(_NAME.findall(_text(name))) <= VARIABLES, name
    for service in _ours().values():
        assert set(service["environment"]) == VARIABLES


def test_every_variable_the_compose_file_asks_for_is_in_the_example() -> None:
    asked = set(re.findall(r"\$\{([A-Z_]+)", _text("compose.yaml")))
    given = set(re.findall(r"^([A-Z_]+)=", _text("example.env"), re.MULTILINE))
    assert asked == given


def test_the_services_run_commands_and_options_that_exist() -> None:
    assert {name: service["command"][0] for name, service in _ours().items()} == {"migrate": "migrate", "hub": "serve", "worker": "worker"}
    for service in _ours().values():
        name, *words = service["command"]
        command = cli.commands[name]
        assert isinstance(command, click.Command)
        command.make_context(name, list(words))


def test_hub_and_worker_wait_for_the_migration_and_the_migration_for_the_database() -> None:
    services = _compose()["services"]
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in ("hub", "worker"):
        assert services[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}


def test_health_is_asked_at_paths_the_hub_has() -> None:
    source = (ROOT / "hub" / "app.py").read_text(encoding="utf-8")
    asked = set(re.findall(r"127\.0\.0\.1:8000(/\w+)", _text("Containerfile") + _text("compose.yaml")))
    assert asked == {"/healthz", "/readyz"}
    assert all(f'"{path}"' in source for path in asked)


def test_the_image_holds_every_room_and_installs_the_lock_with_hashes() -> None:
    text = _text("Containerfile")
    rooms = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    ignored = _text("Containerfile.dockerignore").splitlines()
    for room in rooms:
        assert f"COPY {room} ./{room}" in text
        assert f"!{room}" in ignored
    assert "--require-hashes" in text
    assert ignored[1] == "*"


def test_the_image_and_the_services_run_as_nobody_in_particular() -> None:
    users = re.findall(r"^USER (.+)$", _text("Containerfile"), re.MULTILINE)
    assert users == ["10001:10001"]
    for service in _ours().values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


def test_the_keyring_lies_in_a_volume_of_its_own() -> None:
    compose = _compose()
    assert set(compose["volumes"]) == {"database", "state", "keys"}
    for service in _ours().values():
        mounts = dict(reversed(mount.split(":")) for mount in service["volumes"])
        assert mounts[str(Path(service["environment"]["KINEHUB_KEYRING"]).parent)] == "keys"


def test_no_password_and_no_key_is_written_in_the_files() -> None:
    assert re.findall(r"PASSWORD=(.+)", _text("example.env")) == []
    for path in FOLDER.iterdir():
        assert "PRIVATE KEY" not in path.read_text(encoding="utf-8")
