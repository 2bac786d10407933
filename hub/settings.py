"""Settings, from the environment, typed; a wrong one stops the start with one clear line. Documented in docs/reference/settings.md."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, cast

import msgspec

from hub.store.backend import kind
from hub.store.seal import SUITES
from schemas.errors import Unavailable


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may set.

    data_dir:     where the embedded PostgreSQL, keyring, audit heads and logs live
    database_url: an external PostgreSQL (15 to 18); None = embedded in data_dir
    keyring:      keyring file; must be named with an external database
    keyring_store: where the keys live that must be destroyable, when that is not the file
    keyring_secret_file: a file with the PIN or token of that place
    base_url:     how the outside reaches the hub; in FHIR URLs, token audiences and passkeys
    """

    data_dir: Path
    database_url: str | None = None
    keyring: Path
    keyring_store: str = ""
    keyring_secret_file: Path | None = None
    base_url: str = "http://localhost:8000"
    crypto: str | None = None
    locale: Literal["zh-CN", "en"] = "zh-CN"


def load(data_dir: Path, database_url: str | None = None, base_url: str | None = None) -> Settings:
    """Settings from options first, `KINEHUB_*` second. Raises Unavailable naming the variable that is wrong."""
    url = database_url or os.environ.get("KINEHUB_DATABASE_URL") or None
    keyring, secret = os.environ.get("KINEHUB_KEYRING"), os.environ.get("KINEHUB_KEYRING_SECRET_FILE")
    if url and not keyring:
        raise Unavailable("KINEHUB_KEYRING must name the keyring when an external database is used.")
    store = keyring if keyring and kind(keyring) != "file" else ""
    if url and not url.startswith(("postgresql://", "postgres://")):
        raise Unavailable("KINEHUB_DATABASE_URL must begin with postgresql://.")
    crypto = os.environ.get("KINEHUB_CRYPTO")
    if crypto is not None and crypto not in SUITES:
        raise Unavailable(f"KINEHUB_CRYPTO must be one of {', '.join(SUITES)}.")
    locale = os.environ.get("KINEHUB_LOCALE", "zh-CN")
    if locale not in ("zh-CN", "en"):
        raise Unavailable("KINEHUB_LOCALE must be zh-CN or en.")
    base = (base_url or os.environ.get("KINEHUB_BASE_URL", "http://localhost:8000")).rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise Unavailable("KINEHUB_BASE_URL must begin with http:// or https://.")
    return Settings(
        data_dir=data_dir.absolute(), database_url=url, keyring_store=store,
        keyring=Path(keyring).absolute() if keyring and not store else data_dir.absolute() / "keyring.json",
        keyring_secret_file=Path(secret).absolute() if secret else None,
        base_url=base, crypto=crypto, locale=cast(Literal["zh-CN", "en"], locale),
    )  # fmt: skip
