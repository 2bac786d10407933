"""Key back ends that tests of the keyring share: a PKCS#11 token and a transit engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.softhsm import a_token
from tests.transit import Engine, an_engine


@pytest.fixture
def engine() -> Iterator[Engine]:
    with an_engine() as running:
        yield running


@pytest.fixture(scope="module")
def token_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One token for this process, whose SoftHSM reads its configuration once."""
    with pytest.MonkeyPatch.context() as patch:
        yield a_token(tmp_path_factory.mktemp("softhsm"), patch)
