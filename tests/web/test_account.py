"""One's own account: where it is signed in, ending that from elsewhere, passkeys, and what asks for a recent sign-in."""

from __future__ import annotations

import re
from uuid import uuid4

from tests.web.town import Place


def test_a_session_is_ended_from_elsewhere_on_its_next_request(place: Place) -> None:
    with place.browse("colleague") as here, place.browse("colleague") as there, place.browse("colleague") as third:
        page = here.show("/account")
        keys = re.findall(r'action="/account/sessions/([0-9a-f]{16})/end"', page)
        assert len(keys) >= 2
        here.send_form(f"/account/sessions/{keys[0]}/end")
        assert third.get("/center").status_code == 303, "the newest of the others"
        assert there.get("/center").status_code == 200
        here.send_form("/account/sessions/others/end")
        assert there.get("/center").status_code == 303
        assert here.get("/center").status_code == 200


def test_nobody_ends_anothers_session_or_removes_their_passkey(place: Place) -> None:
    with place.browse("staff") as mine, place.browse("doctor2") as theirs:
        mine.show("/account")
        with place.browse("staff") as again:
            (key, *_) = re.findall(r'action="/account/sessions/([0-9a-f]{16})/end"', again.show("/account"))
        theirs.send_form(f"/account/sessions/{key}/end")
        assert mine.get("/center").status_code == 200
        place.rows("INSERT INTO passkeys (credential, account, public_key, sign_count) SELECT $1, id, '', 0 FROM accounts WHERE id = ("
                   "SELECT account FROM sessions WHERE csrf = $2)", uuid4().bytes, mine.csrf)  # fmt: skip
        (passkey,) = re.findall(r'action="(/account/passkeys/[0-9a-f]{16}/remove)"', mine.show("/account"))
        theirs.send_form(passkey)
        assert passkey in mine.show("/account")
        mine.send_form(passkey)
        assert passkey not in mine.show("/account")


def test_downloads_and_passkeys_ask_for_a_recent_sign_in(place: Place) -> None:
    with place.browse("li") as resident:
        assert resident.get("/resident/download").status_code == 200
        place.rows("UPDATE sessions SET created = created - interval '11 minutes' WHERE csrf = $1", resident.csrf)
        for path in ("/resident/download", "/resident/records.csv"):
            answer = resident.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?again=1&next={path}")
        assert resident.post("/account/passkeys/options", headers={"X-CSRF-Token": resident.csrf}).status_code in (303, 401)
        assert resident.show("/resident")
