"""The error tree of KineHub. Raised anywhere, rendered only at the edges (OperationOutcome, problem+json, CLI line, page).

    KineHubError                     message = what is wrong, advice = what to do about it
    ├── AdapterError                 the bytes cannot be used (422)
    │   ├── UnknownFormat            no adapter recognises them (415)
    │   └── TooLarge                 over a limit of size, rows, depth or expansion (413)
    ├── InvalidRecord                a record breaks the unified data standard (422, or a rejected row)
    ├── MappingError                 a mapping file is wrong; raised at start-up with file and line
    ├── NotFound                     does not exist, or does not exist for this caller (404)
    ├── Refused                      understood, and not allowed (403)
    ├── Unauthenticated              who is asking is not established (401)
    ├── BadRequest                   the request itself is wrong (400)
    ├── NotAcceptable                the answer is asked for in a format that is not offered (406)
    ├── Conflict                     another state stands in the way (409, or 412)
    ├── SealError                    ciphertext does not open where it lies: wrong key, row, resident or version
    ├── PermitRequired               data of a resident was asked for without a permit: a defect of the caller
    └── Unavailable                  database, keyring or embedded server cannot be used now (503)

None of these messages quotes a resident's data: fields, rows, codes and limits only.
"""

from __future__ import annotations


class KineHubError(Exception):
    """Base of every error KineHub raises on purpose. `code` is stable and machine-readable."""

    code = "error"
    status = 500

    def __init__(self, message: str, *, advice: str = "", code: str = "", field: str = "", row: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.field = field
        self.row = row
        if code:
            self.code = code


class AdapterError(KineHubError):
    """The file cannot be used; nothing of it was stored. Mend it at its source and send it again."""

    code = "unusable-file"
    status = 422


class UnknownFormat(AdapterError):
    """No adapter recognises the bytes. Name the format in the URL, or see `kinehub adapters list`."""

    code = "unknown-format"
    status = 415


class TooLarge(AdapterError):
    """The file is over a limit. Split it, or send it uncompressed."""

    code = "too-large"
    status = 413


class InvalidRecord(KineHubError):
    """A record breaks the unified data standard; the row is refused, its neighbours are kept."""

    code = "invalid"
    status = 422


class MappingError(KineHubError):
    """A mapping file is wrong. The message names file, line and key; the hub does not start with it."""

    code = "mapping"


class NotFound(KineHubError):
    """It does not exist, or not for this caller: the two are never told apart."""

    code = "not-found"
    status = 404


class Refused(KineHubError):
    """The request was understood and is not allowed. Ask for a wider scope, registration or consent."""

    code = "forbidden"
    status = 403


class Unauthenticated(KineHubError):
    """Who is asking is not established. Get a token, or sign in again."""

    code = "login"
    status = 401


class BadRequest(KineHubError):
    """The request itself is wrong, whatever is stored."""

    code = "invalid-request"
    status = 400


class NotAcceptable(KineHubError):
    """The answer is asked for in a format that is not offered. Ask for one that is."""

    code = "not-acceptable"
    status = 406


class Conflict(KineHubError):
    """Another state stands in the way: a version moved on, a key was used for something else, a directory is taken."""

    code = "conflict"
    status = 409


class TooMany(KineHubError):
    """Too much was tried from one place. `Retry-After` says when to come back."""

    code = "too-many"
    status = 429


class SealError(KineHubError):
    """A sealed value does not open where it lies. It was moved, edited or sealed under another key."""

    code = "seal"


class PermitRequired(KineHubError):
    """A resident's data was asked for without a permit. This is a defect in the calling code, never in the request."""

    code = "permit"


class Unavailable(KineHubError):
    """Something the hub stands on cannot be used now. Try again; `kinehub doctor` says what is wrong."""

    code = "unavailable"
    status = 503
