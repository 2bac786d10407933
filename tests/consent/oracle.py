"""A second reading of CONSENT.md 1.1, slow and plain, sharing nothing with the engine: it walks raw JSON with sets of words.

It knows only the vocabulary the generators draw from (`trees.py`), written out by hand here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

from msgspec.structs import replace

ZONE = ZoneInfo("Asia/Shanghai")
UP = {"CLINTRCH": ["HRESCH"], "ETREAT": ["TREAT"], "BTG": ["ETREAT", "TREAT"]}
SENSITIVITY_UP = {"ETHUD": ["ETH", "SUD", "BH", "SPI"], "PSY": ["BH", "SPI"], "ETH": [], "SUD": ["BH", "SPI"], "HIV": []}
MAY_BE = {"ETH": {"ETHUD", "SUD"}, "SUD": {"ETHUD", "ETH"}}
RANK = ["U", "L", "M", "N", "R", "V"]
CLASS_SYSTEM = "https://kinehub.org/fhir/CodeSystem/data-class"
SAME = {"8480-6": "systolic", "150021": "systolic", "8462-4": "diastolic", "85354-9": "pressure", "8867-4": "pulse", "149546": "pulse"}
PARTS = {"pressure": {"pressure", "systolic", "diastolic"}}
GROUPS = {"Group/known": ["Practitioner/a"]}
WRITES_AS = {"PractitionerRole/b": "Practitioner/b"}
OPEN = {"CareTeam/over", "Group/gone"}


def _edge(text, *, end):
    if "T" in text:
        return datetime.fromisoformat(text) + (timedelta(seconds=1) if end else timedelta(0))
    day = datetime.fromisoformat(f"{text}-01" if len(text) == 7 else text).replace(tzinfo=ZONE)
    if len(text) == 7 and end:
        return datetime(day.year, day.month + 1, 1, tzinfo=ZONE)
    return day + timedelta(days=1) if end else day


def _bounds(period):
    early, late = datetime(1900, 1, 1, tzinfo=ZONE), datetime(2200, 1, 1, tzinfo=ZONE)
    return _edge(period["start"], end=False) if "start" in period else early, _edge(period["end"], end=True) if "end" in period else late


def _any(answers):
    answers = list(answers)
    return "yes" if "yes" in answers else "maybe" if "maybe" in answers else "no"


def _all(answers):
    answers = list(answers)
    return "no" if "no" in answers else "maybe" if "maybe" in answers else "yes"


def _period(rule, ask, _atom):
    low, high = _bounds(rule["period"])
    return "yes" if low <= ask.at < high else "no"


def _one(actor, ask):
    if "reference" not in actor:
        return "no"
    if "identifier" in actor["reference"]:
        return _numbered(actor["reference"]["identifier"]["value"], ask)
    me = {ask.actor, ask.acts_for, *ask.member_of}
    name = actor["reference"]["reference"].split("/_history/")[0]
    if name in me or me & set(GROUPS.get(name, [])):
        return "yes"
    if ask.actor.endswith("/fhir/Practitioner/b") and name == "Practitioner/b":
        return "maybe"
    if name == "Group/timed":
        return "yes" if ask.actor == "Practitioner/a" and ask.at < datetime(2026, 6, 2, tzinfo=ZONE) else "no"
    if name == "PractitionerRole/r":
        held = ask.at >= datetime(2026, 6, 1, tzinfo=ZONE)
        if ask.actor != "Practitioner/a" or not held:
            return "no"
        return "yes" if ask.acts_for == "Organization/h" else "no" if ask.acts_for else "maybe"
    if name == "Organization/h" and ask.actor == "Practitioner/a" and ask.acts_for is None:
        return "maybe" if ask.at >= datetime(2026, 6, 1, tzinfo=ZONE) else "no"
    if name == "Organization/trust":
        return "maybe" if ask.acts_for == "Organization/h" else "no"
    if name.startswith("https:"):
        return "maybe" if ask.actor == "Practitioner/a" else "no"
    return "maybe" if name in OPEN else "no"


def _numbered(value, ask):
    """By identifier: 1 is a group at hand, 7 the one person whose identifiers are at hand, 8 might be anybody else's."""
    if value == "1":
        return "yes" if ask.acts_for == "Organization/i" else "no"
    known = ask.actor == "Practitioner/a"
    return ("yes" if known else "no") if value == "7" else "no" if known else "maybe"


def _could_be(ask):
    """Who may be behind a role that is not at hand: anybody, of any organization if it names none."""
    if ask.actor != "PractitionerRole/gone":
        return []
    organizations = [ask.acts_for] if ask.acts_for else ["Organization/h", "Organization/i", "Organization/trust"]
    return [replace(ask, actor=who, acts_for=where) for who in ("Practitioner/a", "Practitioner/b") for where in organizations]


def _actor(rule, ask, _atom):
    found = _any(_one(actor, ask) for actor in rule["actor"])
    others = [_any(_one(actor, other) for actor in rule["actor"]) for other in _could_be(ask)]
    return "maybe" if found == "no" and set(others) - {"no"} else found


def _purpose(rule, ask, _atom):
    if ask.purpose is None:
        return "maybe"
    return "yes" if {coding["code"] for coding in rule["purpose"]} & {ask.purpose, *UP.get(ask.purpose, [])} else "no"


def _action(rule, ask, _atom):
    def one(coding):
        if coding.get("system") == "urn:mine" or ask.action is None:
            return "maybe"
        return "yes" if coding["code"] == ask.action else "no"

    return _any(one(action["coding"][0]) for action in rule["action"])


def _class(rule, _ask, atom):
    def one(coding):
        if "system" not in coding:
            return "maybe" if coding["code"] == atom["type"] else "no"
        if coding["system"].startswith("urn:ietf"):
            return "yes" if atom["profiled"] else "no"
        if coding["system"] == CLASS_SYSTEM:
            return "yes" if coding["code"] == atom["class"] else "maybe" if atom["class"] is None else "no"
        return "yes" if coding["code"] == atom["type"] else "no"

    return _any(one(coding) for coding in rule["class"])


def _data_period(rule, _ask, atom):
    low, high = _bounds(rule["dataPeriod"])
    starts, ends = atom["starts"], atom["ends"]
    if (starts and starts >= high) or (ends and ends < low):
        return "no"
    if starts is None and ends is None:
        return "maybe"
    begun = "start" not in rule["dataPeriod"] or (starts is not None and low <= starts)
    ended = "end" not in rule["dataPeriod"] or (ends is not None and ends < high)
    return "yes" if begun and ended else "maybe"


def _code(rule, _ask, atom):
    wanted, loose = set(), set()
    for coding in (concept["coding"][0] for concept in rule["code"]):
        means = SAME[coding["code"]]
        if coding.get("system", "urn:theirs") == "urn:theirs":
            loose.add(coding["code"])
        else:
            wanted |= PARTS.get(means, {means})
    return "yes" if wanted & {SAME.get(code, "?") for code in atom["codes"]} else "maybe" if atom["opaque"] or loose & set(atom["codes"]) else "no"


def _data(rule, _ask, atom):
    def one(data):
        name = data["reference"]["reference"].split("/_history/")[0]
        if data["meaning"] == "authoredby":
            authors = {WRITES_AS.get(author, author) for author in atom["authors"]}
            return "yes" if name in authors else "maybe" if "PractitionerRole/gone" in authors else "no"
        return "yes" if name == atom["name"] or (data["meaning"] != "instance" and name in atom["links"]) else "no"

    return _any(one(data) for data in rule["data"])


CONDITIONS = {
    "period": _period, "actor": _actor, "purpose": _purpose, "action": _action,
    "class": _class, "dataPeriod": _data_period, "code": _code, "data": _data,
}  # fmt: skip


def _sensitivity(labels, atom):
    """Is the atom's sensitivity one of the named, or a kind of one?"""
    named = {label["code"] for label in labels if label["system"].endswith("ActCode")}
    have = atom["sensitivity"]
    if have is None or not named:
        return "no"
    if named & {have, *SENSITIVITY_UP[have]}:
        return "yes"
    return "maybe" if named & MAY_BE.get(have, set()) else "no"


def _labels(labels, kind, atom):
    ranks = [RANK.index(label["code"]) for label in labels if label["system"].endswith("Confidentiality")]
    answers = [_sensitivity(labels, atom)]
    if atom["confidentiality"] is None or (ranks and atom["confidentiality"] == "?"):
        answers.append("maybe")
    elif ranks:
        mine = RANK.index(atom["confidentiality"])
        answers.append("yes" if (mine <= max(ranks) if kind == "permit" else mine >= min(ranks)) else "no")
    return _any(answers)


def _own(rule, labels, atom, *, void, guarded):
    kind = rule["type"]
    if kind is None or (kind == "permit" and void):
        return {"silent"}
    match = "yes" if labels is None else _labels(*labels, atom)
    if kind == "permit" and guarded:
        if atom["class"] == "biometric" and not any(coding["code"] == "biometric" for coding in rule["named"]):
            match = "no"
        if atom["sensitivity"] is not None and (labels is None or _sensitivity(labels[0], atom) != "yes"):
            match = "no"
    return {"yes": {kind}, "maybe": {kind, "silent"}, "no": {"silent"}}[match]


def _combine(sets):
    found = set()
    for world in product(*sets):
        found.add("deny" if "deny" in world else "permit" if "permit" in world else "silent")
    return found


def _rule(rule, above, ask, atom, *, void, house):
    match = _all(test(rule, ask, atom) for name, test in CONDITIONS.items() if name in rule)
    if match == "no":
        return {"silent"}
    labels = above["labels"]
    if "securityLabel" in rule:
        labels = (rule["securityLabel"], rule["type"])
    elif labels and labels[1] == "permit" and rule["type"] == "deny":
        labels = None
    classes = [coding for coding in rule.get("class", []) if coding.get("system") == CLASS_SYSTEM]
    named = above["named"] + classes
    here = {"labels": labels, "named": named}
    found = _combine([_rule(child, here, ask, atom, void=void, house=house) for child in rule.get("provision", [])])
    if "silent" in found:
        found = (found - {"silent"}) | _own({**rule, "named": named}, labels, atom, void=void, guarded=house or bool(named))
    return found | {"silent"} if match == "maybe" else found


def _root(consent):
    base = {"OPTIN": "permit", "OPTOUT": "deny", "EMRGONLY": "deny"}.get(consent.get("policyRule", {}).get("coding", [{}])[0].get("code"))
    said = {base, consent.get("provision", {}).get("type")} - {None}
    return {**consent.get("provision", {}), "type": "deny" if "deny" in said else "permit" if said else None}


def _consent(consent, ask, atom, *, house):
    scope = consent.get("scope", {"coding": [{"code": "patient-privacy"}]})["coding"][0]["code"]
    about = consent.get("patient", {"reference": "Patient/p"})["reference"]
    if consent["status"] != "active" or scope == "treatment" or about == "Patient/q":
        return {"silent"}
    root = _root(consent)
    if scope == "research" and "purpose" not in root:
        root["purpose"] = [{"code": "HRESCH"}]
    void = about != "Patient/p" or "modifierExtension" in str(consent) or any(not check["verified"] for check in consent.get("verification", []))
    void = void or _edge(consent["dateTime"], end=False) > ask.at
    return _rule(root, {"labels": None, "named": []}, ask, atom, void=void, house=house)


def _atoms(resource, codes, *, opaque):
    labels = resource["meta"].get("security", [])
    classes = [label["code"] for label in labels if label["system"] == CLASS_SYSTEM]
    sensitivities = [label["code"] for label in labels if label["system"].endswith("ActCode")]
    levels = [label["code"] for label in labels if label["system"].endswith("Confidentiality")]
    unsaid = "N" if classes and not sensitivities else "?" if labels else None
    if not classes and resource["code"]["coding"][0]["code"] in SAME:
        classes = ["health-check"]
    linked = [resource.get("encounter", {}), resource["subject"], *resource.get("performer", [])]
    linked += resource.get("derivedFrom", []) + resource.get("hasMember", [])
    when = resource.get("effectivePeriod", {})
    for one, other in product(classes or [None], sensitivities or [None]):
        yield {
            "class": one, "sensitivity": other, "confidentiality": levels[0] if levels else unsaid,
            "type": resource["resourceType"], "name": f"{resource['resourceType']}/{resource['id']}",
            "starts": _edge(when["start"], end=False) if "start" in when else None,
            "ends": _edge(when["end"], end=True) - timedelta(microseconds=1) if "end" in when else None,
            "profiled": "profile" in resource["meta"], "codes": codes, "opaque": opaque, "links": [who.get("reference") for who in linked],
            "authors": [who["reference"] for who in resource.get("performer", [])],
        }  # fmt: skip


def _whole(consents, ask, resource, codes, *, opaque, house):
    found = set()
    for atom in _atoms(resource, codes, opaque=opaque):
        found |= _combine([_consent(consent, ask, atom, house=house) for consent in consents])
    return found


def _made_of(consents, ask, resource, name, source, *, house):
    """Whether what a resource is made of may be seen: by its own verdict where it is at hand, else unless a rule names it."""
    if name not in resource:
        return True
    if source is not None:
        return judge(consents, ask, source, house=house) == "permit"
    codes = [coding["code"] for coding in resource["code"]["coding"]]
    named = {**resource, "id": resource[name][0]["reference"].split("/")[1]}
    return "deny" not in _whole(consents, ask, named, codes, opaque=_opaque(resource), house=house)


def _opaque(part):
    return not any("loinc" in coding["system"] or "10101" in coding["system"] for coding in part["code"]["coding"])


def judge(consents, ask, resource, source=None, *, house=True):
    """permit, redact or deny. `source`: what the resource is derived from or gathers, where that is at hand."""

    def codes(part):
        return [coding["code"] for coding in part["code"]["coding"]]

    shell = _whole(consents, ask, resource, codes(resource), opaque=_opaque(resource), house=house)
    parts = [
        _whole(consents, ask, resource, codes(resource) + codes(part), opaque=_opaque(resource) or _opaque(part), house=house) == {"permit"}
        for part in resource.get("component", [])
    ]
    member = _made_of(consents, ask, resource, "hasMember", source, house=house)
    if shell != {"permit"} and ("deny" in shell or not any(parts) or "valueQuantity" in resource):
        return "deny"
    if not _made_of(consents, ask, resource, "derivedFrom", source, house=house):
        return "deny"
    left = any(parts) or "valueQuantity" in resource or ("hasMember" in resource and member)
    if not left and (parts or "hasMember" in resource):
        return "deny"
    return "permit" if all(parts) and member else "redact"
