"""Every table of the hub. Alembic migrations build them; hot statements are SQL on asyncpg.

Tables of residents' data carry `bucket` (12 bits, drawn at registration, Citus' distribution column) in every key.
What stands here in the clear is only what SQL must filter on; names, identifiers, codes and values are in sealed columns
(`bytea`, see `hub/store/seal.py`) or blind tokens.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

metadata = MetaData(
    naming_convention={"pk": "%(table_name)s_pkey", "ix": "%(table_name)s_%(column_0_N_name)s_idx", "uq": "%(table_name)s_%(column_0_N_name)s_key"}
)

INSTANT = DateTime(timezone=True)
NOW = text("now()")


def _bucket() -> Column[int]:
    return Column("bucket", SmallInteger, primary_key=True, autoincrement=False)


meta = Table(
    "meta", metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    comment="The keyring this database belongs to, its cipher suite.",
)  # fmt: skip


def _rows() -> list[Column[int]]:
    said = {"arrived": "rows that came", "refused": "of them refused", "waiting": "of them waiting for their resident when they came"}
    return [Column(name, Integer, nullable=False, server_default=text("0"), comment=comment) for name, comment in said.items()]


parties = Table(
    "parties", metadata,
    Column("number", Integer, Identity(), primary_key=True),
    Column("id", UUID, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("area", Text),
    Column("zone", Text),
    Column("client_id", Text, nullable=False, unique=True),
    Column("jwks", JSONB, nullable=False),
    Column("purposes", ARRAY(Text), nullable=False),
    Column("may_register", Boolean, nullable=False, server_default=text("false")),
    Column("deliver_to", Text),
    Column("epoch", Integer, nullable=False, server_default=text("1")),
    Column("created", INSTANT, nullable=False, server_default=NOW),
    Column("token_url", Text),
    Column("notify_to", Text, comment="where it is told that a consent that names it changed"),
    Column("contact", Text, comment="telephone, e-mail or address where residents reach it"),
    Column("country", Text, comment="ISO 3166-1 alpha-2, where it handles what it receives; never changed, see transfer_basis"),
    Column("transfer_basis", Text, comment="what lets records leave the country to it; without, it receives nothing. Never changed"),
    comment="Organizations that send or receive; each is an OAuth client.",
)  # fmt: skip

assessments = Table(
    "assessments", metadata,
    Column("id", UUID, primary_key=True),
    Column("about", Text, nullable=False, comment="sensitive, automated, or an organization's name"),
    Column("made", Date, nullable=False),
    Column("recorded", INSTANT, nullable=False, server_default=text("clock_timestamp()")),
    Column("body", LargeBinary, nullable=False, comment="author, file name and the document, sealed under the hub's key"),
    comment="Impact assessments of the hub's operator (PIPL 55, 56). Never removed.",
)  # fmt: skip

directory = Table(
    "directory", metadata,
    Column("type", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("party", Integer, nullable=False, comment="whose entry it is"),
    Column("current", Boolean, nullable=False, server_default=text("true")),
    Column("updated", INSTANT, nullable=False, server_default=text("clock_timestamp()")),
    Column("change", BigInteger, Identity(), nullable=False, unique=True, comment="grows in the order of commits"),
    Column("body", JSONB, nullable=False),
    Column("contacts", LargeBinary, comment="private contacts, sealed under the hub's key; the newest version's only"),
    Index("directory_current_idx", "type", "id", unique=True, postgresql_where=text("current")),
    Index("directory_party_idx", "party", "type", postgresql_where=text("current")),
    comment="FHIR resources about no resident, every version. A reference table on Citus.",
)  # fmt: skip

occupancy = Table(
    "occupancy", metadata,
    Column("id", UUID, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("party", Integer, nullable=False, comment="who counted, and whose venue it is"),
    Column("venue", Text, nullable=False, comment="id of a Location of the directory"),
    Column("natural_key", Text, nullable=False),
    Column("starts", INSTANT, nullable=False, index=True),
    Column("ends", INSTANT, nullable=False),
    Column("current", Boolean, nullable=False, server_default=text("true")),
    Column("shared", Boolean, nullable=False, comment="no other count of the venue that others may see overlaps it"),
    Column("updated", INSTANT, nullable=False),
    Column("body", JSONB, nullable=False, comment="the record; its venue is the Location's id"),
    Index("occupancy_natural_idx", "party", "natural_key", unique=True, postgresql_where=text("current")),
    Index("occupancy_venue_idx", "venue", "starts"),
    comment="Counts of people at venues, every version. They name nobody.",
)  # fmt: skip

residents = Table(
    "residents", metadata,
    _bucket(),
    Column("id", UUID, primary_key=True),
    Column("epoch", Integer, nullable=False, server_default=text("1"), comment="raised by every change of consent or labels"),
    Column("zone", Text),
    Column("created", INSTANT, nullable=False, server_default=NOW),
    Column("deceased", Boolean, nullable=False, server_default=text("false"), comment="a death is recorded and confirmed"),
)  # fmt: skip

data_keys = Table(
    "data_keys", metadata,
    _bucket(),
    Column("subject", UUID, primary_key=True, comment="a resident, or a receipt whose rows wait for identity"),
    Column("kek", Text, nullable=False),
    Column("erasure", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("expires", INSTANT),
    Index("data_keys_erasure_idx", "erasure"),
    comment="Wrapped data keys; left out of backups of the database.",
)  # fmt: skip

holds = Table(
    "holds", metadata,
    _bucket(),
    Column("id", UUID, primary_key=True),
    Column("resident", UUID, nullable=False),
    Column("until", Date, comment="the last day it stands, as the resident counts days; until it is released where absent"),
    Column("placed", INSTANT, nullable=False, server_default=NOW),
    Column("body", LargeBinary, nullable=False, comment="the reason, sealed under the hub's key"),
    comment="Legal holds: a resident who has one is not erased.",
)  # fmt: skip

identifiers = Table(
    "identifiers", metadata,
    _bucket(),
    Column("token", LargeBinary, primary_key=True, comment="blind token under the global key of the identifier system"),
    Column("resident", UUID, primary_key=True),
    Column("sole", Boolean, nullable=False, comment="the system gives one value to one person"),
    Index("identifiers_sole_idx", "bucket", "token", unique=True, postgresql_where=text("sole")),
    Index("identifiers_resident_idx", "resident"),
    comment="Identifier tokens to residents; here the bucket is the token's own first 12 bits.",
)  # fmt: skip

petitions = Table(
    "petitions", metadata,
    _bucket(),
    Column("id", UUID, primary_key=True),
    Column("resident", UUID, nullable=False),
    Column("kind", Text, nullable=False, comment="correction, deletion, dispute, review"),
    Column("party", Integer, nullable=False, comment="who answers; 0: the hub's administrator"),
    Column("record", UUID, comment="what is to be corrected or deleted, or whose result to be looked at"),
    Column("version", Integer, comment="its version when it was asked"),
    Column("chain", Integer, comment="with seq: the audit entry that is disputed"),
    Column("seq", BigInteger),
    Column("made", INSTANT, nullable=False, server_default=NOW),
    Column("due", INSTANT, nullable=False),
    Column("outcome", Text, comment="how it was answered; open while absent"),
    Column("answered", INSTANT),
    Column("words", LargeBinary, nullable=False, comment="what the resident says, sealed"),
    Column("answer", LargeBinary, comment="what the party says, sealed under the resident's key"),
    Column("representative", UUID, comment="who asked in the resident's name, if not they themselves"),
    Index("petitions_resident_idx", "bucket", "resident"),
    Index("petitions_party_idx", "party", "made"),
    comment="What residents ask of who holds or saw their data (PIPL 46, 47, 50).",
)  # fmt: skip

visit_codes = Table(
    "visit_codes", metadata,
    _bucket(),
    Column("token", LargeBinary, primary_key=True, comment="blind token of the code"),
    Column("resident", UUID, nullable=False),
    Column("classes", Integer, nullable=False, comment="data-class bits that it gives"),
    Column("hours", SmallInteger, nullable=False),
    Column("expires", INSTANT, nullable=False),
    Column("representative", UUID, comment="who made it in the resident's name, if not they themselves"),
    Index("visit_codes_resident_idx", "resident"),
    comment="Codes that residents made for a visit; gone once used. Here the bucket is the token's own first 12 bits.",
)  # fmt: skip

code_guesses = Table(
    "code_guesses", metadata,
    Column("account", UUID, primary_key=True),
    Column("party", Integer, nullable=False, index=True),
    Column("wrong", Integer, nullable=False),
    Column("since", INSTANT, nullable=False),
    comment="Wrong codes by account and party since a moment, so that nobody tries them all.",
)  # fmt: skip

sign_in_sources = Table(
    "sign_in_sources", metadata,
    Column("source", LargeBinary, primary_key=True, comment="token of the address, or of the /64 of one of IPv6"),
    Column("wrong", Integer, nullable=False),
    Column("since", INSTANT, nullable=False, index=True),
    comment="Wrong passwords by where they came from since a moment, so that nobody tries one on all accounts.",
)  # fmt: skip

emergencies = Table(
    "emergencies", metadata,
    _bucket(),
    Column("id", UUID, primary_key=True),
    Column("resident", UUID, nullable=False),
    Column("account", UUID, nullable=False, index=True, comment="the doctor's"),
    Column("party", Integer, nullable=False),
    Column("opened", INSTANT, nullable=False, server_default=text("clock_timestamp()")),
    Column("expires", INSTANT, nullable=False),
    Column("ended", INSTANT, comment="when it was closed before it expired"),
    Column("body", LargeBinary, comment="the reason, sealed under the resident's key; gone after an erasure"),
    Column("reviewer", UUID, comment="account of another person of the party"),
    Column("reviewed", INSTANT),
    Column("outcome", Text, comment="justified, unjustified, unclear"),
    Index("emergencies_resident_idx", "bucket", "resident"),
    Index("emergencies_party_idx", "party", "opened"),
    comment="Emergency accesses (break-glass): a legal basis beside consent, for one doctor and one resident, for hours.",
)  # fmt: skip

representatives = Table(
    "representatives", metadata,
    _bucket(),
    Column("id", UUID, primary_key=True),
    Column("resident", UUID, nullable=False),
    Column("account", UUID, index=True, comment="who acts; absent until the invitation is taken up"),
    Column("relation", Text, nullable=False, comment="parent, guardian, family; relative: of the deceased, and of nobody else"),
    Column("rights", ARRAY(Text), nullable=False, comment="what they may; of a parent or guardian: what somebody of 14 to 17 agreed to"),
    Column("code", LargeBinary, comment="blind token of an invitation's code"),
    Column("code_expires", INSTANT),
    Column("begun", INSTANT, nullable=False, server_default=text("clock_timestamp()")),
    Column("ends", INSTANT),
    Column("ended", INSTANT, comment="when it was ended before"),
    Column("reason", LargeBinary, comment="what a relative of the deceased acts for, sealed"),
    Index("representatives_resident_idx", "bucket", "resident"),
    Index("representatives_code_idx", "code", postgresql_where=text("code IS NOT NULL")),
    comment="Who may act for a resident. Ages are judged when they act, so no birthday stands here.",
)  # fmt: skip

wishes = Table(
    "wishes", metadata,
    _bucket(),
    Column("resident", UUID, primary_key=True),
    Column("changed", INSTANT, nullable=False, server_default=text("clock_timestamp()")),
    Column("body", LargeBinary, nullable=False, comment="the choice and who is named, sealed under the resident's key"),
    comment="What residents want to happen with their records after their death; the law's default where absent (PIPL 49).",
)  # fmt: skip

deaths = Table(
    "deaths", metadata,
    _bucket(),
    Column("resident", UUID, primary_key=True),
    Column("recorder", Text, nullable=False, comment="who recorded it, as the audit names them"),
    Column("recorded", INSTANT, nullable=False, server_default=text("clock_timestamp()")),
    Column("confirmer", Text, comment="a second person; nothing changes before"),
    Column("confirmed", INSTANT),
    Column("body", LargeBinary, nullable=False, comment="the day and the evidence, sealed under the resident's key"),
    comment="Deaths of residents, each by two persons.",
)  # fmt: skip

assists = Table(
    "assists", metadata,
    _bucket(),
    Column("id", UUID, primary_key=True),
    Column("resident", UUID, nullable=False),
    Column("party", Integer, nullable=False),
    Column("account", UUID, nullable=False, comment="staff who record it"),
    Column("channel", Text, nullable=False, comment="desk, phone"),
    Column("checked", Text, nullable=False, comment="how staff knew who it was"),
    Column("state", Text, nullable=False, server_default=text("'open'"), comment="open, chosen, waiting (for a witness), recorded, refused, cancelled"),
    Column("made", INSTANT, nullable=False, server_default=text("clock_timestamp()")),
    Column("expires", INSTANT, nullable=False, comment="until when its party sees it, and it can be recorded"),
    Column("choice", LargeBinary, comment="what the resident decided, sealed under their key"),
    Column("paper", LargeBinary, comment="scan of the signed form, sealed under the resident's key"),
    Column("witness", UUID, comment="account of a second member of staff"),
    Column("decided", INSTANT),
    Column("consent", UUID),
    Index("assists_resident_idx", "bucket", "resident"),
    Index("assists_party_idx", "party", "expires"),
    comment="Decisions that staff of a party record for a resident, at a desk or by phone.",
)  # fmt: skip


def _record_columns() -> list[Column[object]]:
    return [
        Column("resident", UUID, nullable=False),
        Column("kind", SmallInteger, nullable=False),
        Column("labels", Integer, nullable=False, comment="data-class bits"),
        Column("restricted", Boolean, nullable=False, server_default=text("false")),
        Column("label_rules", SmallInteger, nullable=False),
        Column("starts", INSTANT, nullable=False),
        Column("ends", INSTANT, nullable=False),
        Column("party", Integer, nullable=False),
        Column("natural_key", LargeBinary, nullable=False, comment="natural key under the resident's key"),
        Column("content", LargeBinary, nullable=False, comment="content under the resident's key"),
        Column("original", UUID),
        Column("deleted", Boolean, nullable=False, server_default=text("false")),
        Column("recorded", INSTANT, nullable=False),
        Column("body", LargeBinary, nullable=False, comment="canonical record and FHIR face, sealed"),
    ]


records = Table(
    "records", metadata,
    _bucket(),
    Column("id", UUID, primary_key=True),
    Column("version", Integer, nullable=False),
    *_record_columns(),
    Index("records_natural_idx", "bucket", "natural_key", unique=True),
    Index("records_history_idx", "bucket", "resident", text("starts DESC"), text("id DESC")),
    Index("records_consents_idx", "bucket", "resident", postgresql_where=text("kind = 21")),
    comment="The newest version of every record: one sealed row, whatever number of FHIR resources it shows.",
)  # fmt: skip

record_history = Table(
    "record_history", metadata,
    _bucket(),
    Column("id", UUID, primary_key=True),
    Column("version", Integer, primary_key=True),
    *_record_columns(),
    comment="Superseded versions, moved here in the transaction that superseded them.",
)  # fmt: skip

series = Table(
    "series", metadata,
    _bucket(),
    Column("record", UUID, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("channel", SmallInteger, primary_key=True),
    Column("chunk", SmallInteger, primary_key=True),
    Column("resident", UUID, nullable=False),
    Column("labels", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    comment="Samples: one sealed chunk per channel and hour.",
)  # fmt: skip

originals = Table(
    "originals", metadata,
    _bucket(),
    Column("id", UUID, primary_key=True),
    Column("resident", UUID, nullable=False),
    Column("format", Text, nullable=False),
    Column("received", INSTANT, nullable=False),
    Column("body", LargeBinary, nullable=False),
    comment="The bytes that came in, sealed for the person they are about.",
)  # fmt: skip

receipts = Table(
    "receipts", metadata,
    Column("id", UUID, primary_key=True),
    Column("party", Integer, nullable=False),
    Column("format", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("file", LargeBinary, comment="token of file and named resident under the party's key; only when all of it was taken"),
    Column("idempotency", LargeBinary, comment="token of the Idempotency-Key under the party's key"),
    Column("fingerprint", LargeBinary, nullable=False, comment="token of the whole request under the party's key"),
    Column("created", INSTANT, nullable=False),
    Column("records", ARRAY(UUID), nullable=False),
    Column("versions", ARRAY(Integer), nullable=False),
    Column("rows", ARRAY(Integer), nullable=False),
    Column("subject", UUID, comment="whose key seals the detail"),
    Column("detail", LargeBinary, comment="rejected and pending rows, sealed under a key that expires"),
    Column("quality", UUID, comment="the run that judged its records"),
    *_rows(),
    UniqueConstraint("file", "party"),
    UniqueConstraint("idempotency", "party"),
    Index("receipts_unjudged_idx", "created", postgresql_where=text("quality IS NULL AND (cardinality(records) > 0 OR waiting > 0)")),
    Index("receipts_party_idx", "party", "created"),
)  # fmt: skip

pending = Table(
    "pending", metadata,
    Column("id", UUID, primary_key=True),
    Column("party", Integer, nullable=False),
    Column("receipt", UUID, nullable=False, index=True),
    Column("row", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("subject", UUID, nullable=False),
    Column("expires", INSTANT, nullable=False),
    Column("body", LargeBinary, nullable=False, comment="the decoded row, sealed under the receipt's own key"),
)  # fmt: skip

accounts = Table(
    "accounts", metadata,
    Column("id", UUID, primary_key=True),
    Column("login", LargeBinary, nullable=False, unique=True, comment="blind token of the sign-in name"),
    Column("role", Text, nullable=False),
    Column("party", Integer),
    Column("resident", UUID),
    Column("area", Text),
    Column("name", LargeBinary, nullable=False, comment="display name, sealed under the hub's key"),
    Column("password", Text),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("locked_until", INSTANT),
    Column("created", INSTANT, nullable=False, server_default=NOW),
    Column("lead", Boolean, nullable=False, server_default=text("false"), comment="manages the accounts of its party"),
    Column("ended", INSTANT, comment="signs nobody in any more; kept for the names in the audit"),
    Index("accounts_party_idx", "party", postgresql_where=text("party IS NOT NULL")),
)  # fmt: skip

invitations = Table(
    "invitations", metadata,
    Column("code", LargeBinary, primary_key=True, comment="blind token of the code"),
    Column("id", UUID, nullable=False),
    Column("party", Integer, nullable=False),
    Column("role", Text, nullable=False),
    Column("lead", Boolean, nullable=False),
    Column("name", LargeBinary, nullable=False, comment="sealed under the hub's key"),
    Column("made", INSTANT, nullable=False, server_default=NOW),
    Column("expires", INSTANT, nullable=False),
    Column("made_by", UUID, comment="account of the lead: the code is good while they are one"),
    comment="Colleagues who were given a code and have not used it yet.",
)  # fmt: skip

passkeys = Table(
    "passkeys", metadata,
    Column("credential", LargeBinary, primary_key=True),
    Column("account", UUID, nullable=False, index=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("created", INSTANT, nullable=False, server_default=NOW),
    Column("name", LargeBinary, comment="what the person calls it, sealed"),
    Column("device", Text, nullable=False, server_default="", comment="codes of browser and system it was made with"),
    Column("used", INSTANT, comment="last sign-in with it"),
)  # fmt: skip

sessions = Table(
    "sessions", metadata,
    Column("token", LargeBinary, primary_key=True, comment="SHA-256 of the cookie"),
    Column("account", UUID),
    Column("csrf", Text, nullable=False),
    Column("challenge", LargeBinary),
    Column("acting", UUID, comment="row of representatives: for whom this session acts"),
    Column("device", Text, nullable=False, server_default="", comment="codes of browser and system"),
    Column("created", INSTANT, nullable=False, server_default=NOW),
    Column("seen", INSTANT, nullable=False, server_default=NOW),
    Column("expires", INSTANT, nullable=False),
)  # fmt: skip

forms = Table(
    "forms", metadata,
    Column("session", LargeBinary, primary_key=True),
    Column("once", Text, primary_key=True, comment="as the page drew it"),
    Column("answer", Text, comment="where it led; empty where it showed a page; null while it is carried out"),
    Column("sent", INSTANT, nullable=False, server_default=NOW, index=True),
    comment="Forms that were sent and are not carried out again, for as long as a session lasts.",
)  # fmt: skip

assertions = Table(
    "assertions", metadata,
    Column("client_id", Text, primary_key=True),
    Column("jti", LargeBinary, primary_key=True, comment="SHA-256 of the assertion's jti"),
    Column("expires", INSTANT, nullable=False),
    comment="Client assertions seen, so that none is used twice.",
)  # fmt: skip

audit_chains = Table(
    "audit_chains", metadata,
    Column("chain", Integer, Identity(), primary_key=True),
    Column("started", INSTANT, nullable=False, server_default=NOW),
    Column("secret", LargeBinary, comment="what the salts of its entries come from"),
)  # fmt: skip

audit = Table(
    "audit", metadata,
    Column("chain", Integer, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", INSTANT, nullable=False),
    Column("resident", UUID, comment="pseudonym: stays readable after an erasure"),
    Column("party", Integer),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("purpose", Text),
    Column("rule", Text),
    Column("outcome", Text, nullable=False),
    Column("detail", LargeBinary, comment="what was seen, sealed under the resident's key"),
    Column("hash", LargeBinary, nullable=False),
    Index("audit_resident_idx", "resident", text("at DESC")),
    Index("audit_party_idx", "party", text("at DESC")),
)  # fmt: skip

audit_segments = Table(
    "audit_segments", metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False, comment="place of its first entry among all leaves"),
    Column("chain", Integer, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    UniqueConstraint("chain", "last"),
    comment="The order of the audit's entries in the tree, as the signed heads took them in.",
)  # fmt: skip

audit_nodes = Table(
    "audit_nodes", metadata,
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("place", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    comment="Full nodes of the tree, every eighth level. Made from the entries; nothing is believed because it stands here.",
)  # fmt: skip

outbox = Table(
    "outbox", metadata,
    _bucket(),
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("resident", UUID, nullable=False),
    Column("receiver", Integer, nullable=False),
    Column("record", UUID, nullable=False),
    Column("version", Integer, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'owed'"), comment="owed, acknowledged, suppressed, dead"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_at", INSTANT, nullable=False, server_default=NOW),
    Column("reason", Text),
    Column("created", INSTANT, nullable=False, server_default=NOW),
    Column("done", INSTANT),
    UniqueConstraint("bucket", "receiver", "record", "version"),
    Index("outbox_owed_idx", "receiver", "next_at", postgresql_where=text("status = 'owed'")),
    Index("outbox_order_idx", "bucket", "resident", "receiver", "id", postgresql_where=text("status = 'owed'")),
    comment="What is owed to receivers. Holds no content: the record is opened, and consent checked, at the moment of sending.",
)  # fmt: skip

consent_notices = Table(
    "consent_notices", metadata,
    _bucket(),
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("resident", UUID, nullable=False),
    Column("receiver", Integer, nullable=False),
    Column("consent", UUID, nullable=False),
    Column("version", Integer, nullable=False),
    Column("change", Text, nullable=False, comment="granted, changed, withdrawn, refused, refusal-withdrawn, erased"),
    Column("status", Text, nullable=False, server_default=text("'owed'"), comment="owed, acknowledged, dead"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_at", INSTANT, nullable=False, server_default=NOW),
    Column("reason", Text),
    Column("created", INSTANT, nullable=False, server_default=text("clock_timestamp()")),
    Column("done", INSTANT),
    UniqueConstraint("bucket", "receiver", "consent", "version"),
    Index("consent_notices_owed_idx", "next_at", postgresql_where=text("status = 'owed'")),
    Index("consent_notices_resident_idx", "bucket", "resident"),
    comment="Notices of changed consents, owed to the receivers they name. Ids only.",
)  # fmt: skip

quality_runs = Table(
    "quality_runs", metadata,
    Column("id", UUID, primary_key=True),
    Column("number", BigInteger, Identity(), nullable=False, unique=True),
    Column("party", Integer, nullable=False),
    Column("scope", Text, nullable=False, comment="batch: receipts; source: a night; silence: nothing came"),
    Column("started", INSTANT, nullable=False),
    Column("finished", INSTANT, nullable=False, server_default=text("clock_timestamp()")),
    Column("receipts", ARRAY(UUID), nullable=False),
    Column("records", Integer, nullable=False),
    Column("score", Float(53)),
    Column("usual", Float(53), comment="mean score of the source's 30 days before"),
    Column("degraded", Boolean, nullable=False, server_default=text("false")),
    Column("engine", Text, nullable=False),
    Column("body", LargeBinary, nullable=False, comment="what was expected and kept, sealed under the hub's key"),
    *_rows(),
    Index("quality_runs_party_idx", "party", "scope", text("started DESC")),
    comment="Runs of the quality worker: the score of a source over time.",
)  # fmt: skip

quality_flags = Table(
    "quality_flags", metadata,
    _bucket(),
    Column("record", UUID, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("run", BigInteger, primary_key=True, comment="number of the run that found them; the newest counts"),
    Column("resident", UUID, nullable=False),
    Column("body", LargeBinary, nullable=False, comment="rules that the record breaks, sealed"),
    comment="What the quality worker found of a record, beside it. Nothing is ever written over.",
)  # fmt: skip

quality_hooks = Table(
    "quality_hooks", metadata,
    Column("id", UUID, primary_key=True),
    Column("party", Integer, comment="told of this source; of every source where absent"),
    Column("url", Text, nullable=False),
    Column("created", INSTANT, nullable=False, server_default=NOW),
)  # fmt: skip

quality_alerts = Table(
    "quality_alerts", metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("hook", UUID, nullable=False),
    Column("run", UUID, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'owed'"), comment="owed, acknowledged, dead"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_at", INSTANT, nullable=False, server_default=NOW),
    Column("reason", Text),
    Column("created", INSTANT, nullable=False, server_default=NOW),
    UniqueConstraint("run", "hook"),
    Index("quality_alerts_owed_idx", "next_at", postgresql_where=text("status = 'owed'")),
    comment="Alerts owed to webhooks: a source got worse. They hold no resident's data.",
)  # fmt: skip
