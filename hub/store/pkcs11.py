"""Keys in a PKCS#11 token (an HSM; SoftHSM in the tests): `pkcs11:///path/to/module.so?token=LABEL`.

AES-256-GCM with keys that are sensitive and not extractable. `python-pkcs11` is the extra `kinehub[pkcs11]`, imported here alone.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hub.store.backend import Breaker, down, missing
from hub.store.seal import bound
from schemas.errors import SealError, Unavailable

try:
    import pkcs11
    from pkcs11 import exceptions as faults
except ImportError:
    raise Unavailable("The key back end pkcs11 needs the package kinehub[pkcs11].", advice="pip install 'kinehub[pkcs11]'.") from None

_TAG_BITS = 128
_NONCE = 12
_GONE = (faults.NoSuchKey, faults.ObjectHandleInvalid, faults.KeyHandleInvalid)
_TAMPERED = (faults.EncryptedDataInvalid, faults.EncryptedDataLenRange)


class Login:
    """This process's one session with a token, for one thread at a time; opened again when it was lost.

    A process is logged in as a whole (PKCS#11 2.40, 2.6.7), so every keyring in it shares the session.
    """

    def __init__(self, module: str, label: str, pin: str) -> None:
        self._module, self._label, self._pin = module, label, pin
        self._lock, self._breaker = threading.RLock(), Breaker()
        self._session: Any = None

    @contextlib.contextmanager
    def session(self) -> Iterator[Any]:
        """The session, ours alone meanwhile. What the token says of itself is said in our words."""
        with self._lock, self._breaker.trying():
            try:
                self._session = self._session or self._opened()
                yield self._session
            except faults.PKCS11Error as error:
                if not isinstance(error, _GONE):
                    self._session = None
                raise _said(error, self._module, self._label) from None

    def _opened(self) -> Any:
        library = pkcs11.lib(self._module)
        try:
            return library.get_token(token_label=self._label).open(user_pin=self._pin, rw=True)
        except faults.NoSuchToken:
            library.reinitialize()  # a token made since this process first looked
            return library.get_token(token_label=self._label).open(user_pin=self._pin, rw=True)


_login = functools.lru_cache(maxsize=4)(Login)


class Token:
    """The keys of one keyring in a token."""

    remote = True

    def __init__(self, store: str, pin: str, prefix: str) -> None:
        self._login = _login(*_address(store), pin)
        self._prefix = prefix
        self._keys: dict[str, tuple[Any, Any]] = {}

    def make(self, name: str) -> None:
        with self._login.session() as session:
            if not list(session.get_objects(self._template(name))):
                session.generate_key(pkcs11.KeyType.AES, 256, label=self._prefix + name, store=True, template={
                    pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False, pkcs11.Attribute.MODIFIABLE: False,
                })  # fmt: skip

    def wrap(self, name: str, value: bytes, *where: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        with self._asking(name) as session:
            sealed: bytes = self._key(session, name).encrypt(value, mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=_parameters(nonce, where))
        return nonce + sealed

    def unwrap(self, name: str, wrapped: bytes, *where: bytes) -> bytes:
        nonce, sealed = wrapped[:_NONCE], wrapped[_NONCE:]
        with self._asking(name) as session:
            key = self._key(session, name)
            try:
                return bytes(key.decrypt(sealed, mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=_parameters(nonce, where)))
            except (*_TAMPERED, faults.GeneralError):  # SoftHSM says GeneralError of a tag that does not fit
                list(session.get_objects(self._template(name)))  # it answers, so it was not the token that failed
                raise SealError("A wrapped key does not belong where it lies.") from None

    def destroy(self, name: str) -> None:
        with self._login.session() as session:
            self._keys.pop(name, None)
            for key in session.get_objects(self._template(name)):
                key.destroy()

    def held(self) -> set[str]:
        with self._login.session() as session:
            labels = [key.label for key in session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY})]
        return {label.removeprefix(self._prefix) for label in labels if label.startswith(self._prefix)}

    def close(self) -> None:
        """The session is the process's, not ours."""

    @contextlib.contextmanager
    def _asking(self, name: str) -> Iterator[Any]:
        with self._login.session() as session:
            try:
                yield session
            except _GONE:
                self._keys.pop(name, None)
                raise missing(name) from None

    def _key(self, session: Any, name: str) -> Any:
        """The handle of a key, which lives as long as its session."""
        held = self._keys.get(name)
        if held is None or held[0] is not session:
            held = self._keys[name] = session, session.get_key(object_class=pkcs11.ObjectClass.SECRET_KEY, label=self._prefix + name)
        return held[1]

    def _template(self, name: str) -> dict[Any, Any]:
        return {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY, pkcs11.Attribute.LABEL: self._prefix + name}


def _address(store: str) -> tuple[str, str]:
    url = urlsplit(store)
    label = parse_qs(url.query).get("token", [""])[0]
    if url.netloc or not url.path or not label:
        raise Unavailable("KINEHUB_KEYRING must be pkcs11:///path/to/module.so?token=LABEL.")
    return url.path, label


def _parameters(nonce: bytes, where: tuple[bytes, ...]) -> Any:
    return pkcs11.GCMParams(nonce, bound(*where), _TAG_BITS)


def _said(error: Exception, module: str, label: str) -> Unavailable:
    match error:
        case faults.NoSuchToken() | faults.MultipleTokensReturned():
            return Unavailable(f"There is no one token {label} in {module}.", advice="Name the token in KINEHUB_KEYRING.")
        case faults.PinIncorrect() | faults.PinInvalid() | faults.PinLenRange():
            return Unavailable(f"The PIN is not that of the token {label}.", advice="KINEHUB_KEYRING_SECRET_FILE names the file with the PIN.")
        case faults.PinLocked() | faults.PinExpired():
            return Unavailable(f"The PIN of the token {label} is locked or expired.")
        case _ if "loading" in str(error):
            return Unavailable(f"The PKCS#11 module {module} cannot be loaded.", advice="Name the module in KINEHUB_KEYRING.")
    return down(f"answers with {type(error).__name__}")
