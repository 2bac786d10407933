"""Writes the generated parts of the documentation from the code: `python docs/generate.py`; with `--check` it only says what is stale.

A page holds prose and blocks between `<!-- generated: NAME -->` and `<!-- end -->`; a block's text comes from the function of
that name in BLOCKS. Nothing here is imported by the hub.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from adapters.base import Limits, adapters  # noqa: E402 - run as a file, the project is not on the path before this
from hub.cli import cli  # noqa: E402
from hub.exchange import published  # noqa: E402
from hub.exchange import terminology as terms  # noqa: E402
from hub.exchange.clauses import MODIFIERS  # noqa: E402
from hub.exchange.definitions import is_supported, search_parameters  # noqa: E402
from hub.exchange.reading import KINDS_OF_TYPE  # noqa: E402
from hub.exchange.routes import OPERATIONS, TYPES  # noqa: E402
from hub.settings import Settings  # noqa: E402
from hub.store.parties import DEFAULT_PURPOSES, KINDS  # noqa: E402
from hub.store.seal import SUITES  # noqa: E402
from mappings.sampled import CHANNELS  # noqa: E402
from mappings.sources import FOLDER as LAYOUTS  # noqa: E402
from schemas import errors, labels, package, terminology  # noqa: E402
from schemas.classes import CODES, NAMES, codes_of  # noqa: E402
from schemas.flags import FLAGS  # noqa: E402
from schemas.instruments import INSTRUMENTS  # noqa: E402
from schemas.measures import MEASURES  # noqa: E402
from schemas.quality import BANDS  # noqa: E402
from schemas.r4 import structures  # noqa: E402
from schemas.r4 import terms as r4_terms  # noqa: E402
from schemas.standard import FACTS, STANDARD  # noqa: E402

ROOMS = ("schemas", "adapters", "mappings", "consent", "hub")
_BLOCK = re.compile(r"<!-- generated: ([a-z-]+) -->\n.*?<!-- end -->", re.DOTALL)

SETTING_NOTES = {
    "data_dir": "A folder of the hub's own, 0700. Set by the option only.",
    "database_url": "Begins with `postgresql://`. Also the option `--database-url`, which wins.",
    "keyring": "Default: `keyring.json` in the data directory. Must be named when an external database is used; a start that finds a database "
    "sealed with one keyring never makes another.",
    "keyring_store": "`pkcs11:///path/to/module.so?token=LABEL` or `vault://HOST[:PORT]/MOUNT`; `keyring.json` is in the data directory then. Chosen once.",
    "keyring_secret_file": "Needed with `pkcs11://` and `vault://`; read at the start.",
    "base_url": "Begins with `http://` or `https://`; no slash at the end is needed. `kinehub serve` takes `http://localhost:PORT` when it is unset. "
    "With https, cookies are Secure.",
    "crypto": "Cipher suite of a keyring that is made now: `international` is AES-256-GCM and SHA-256, `guomi` SM4-GCM and SM3. "
    "A database keeps the suite it was begun with, and a start with another one named is refused. `international` unless said; `guomi` needs a keyring file.",
    "locale": "Language of pages for people who have not chosen one: `zh-CN` or `en`.",
}
"""What an operator must know beside the type."""


SAME_VARIABLE = {"keyring_store": "keyring"}
"""Settings that one variable gives together with another."""


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [list(heads), *([str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


# Settings


def variables() -> dict[str, str]:
    """Every KINEHUB_* variable the rooms read, with the file that reads it first."""
    files = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    found: dict[str, str] = {}
    for path in files:
        for name in re.findall(r'environ(?:\.get\(|\[)\s*"(KINEHUB_[A-Z_]+)"', path.read_text(encoding="utf-8")):
            found.setdefault(name, str(path.relative_to(ROOT)))
    return found


def settings() -> str:
    known = variables()
    meanings = dict(re.findall(r"^(\w+): +(.+)$", inspect.getdoc(Settings) or "", re.MULTILINE))
    rows = []
    for field in msgspec.structs.fields(Settings):
        variable = f"KINEHUB_{SAME_VARIABLE.get(field.name, field.name).upper()}"
        default = "./.kinehub" if field.name == "data_dir" else field.default
        shown = f"`{default}`" if default not in (msgspec.NODEFAULT, None, "") else "none"
        name = variable if variable in known else f"--{field.name.replace('_', '-')}"
        rows.append((f"`{name}`", shown, ". ".join(filter(None, (meanings.get(field.name, "").strip(), SETTING_NOTES[field.name])))))
    return table(("setting", "default", "meaning"), rows)


def suites() -> str:
    return code(SUITES)


# Command line


def commands(group: click.Group = cli, path: tuple[str, ...] = ("kinehub",)) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with its words, groups left out."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def _option(parameter: click.Parameter) -> tuple[str, str]:
    shown = ", ".join((*parameter.opts, *parameter.secondary_opts)) if isinstance(parameter, click.Option) else parameter.human_readable_name
    choices = f" {code(parameter.type.choices)}" if isinstance(parameter.type, click.Choice) else ""
    default = parameter.default if isinstance(parameter, click.Option) and parameter.show_default else None
    said = getattr(parameter, "help", None) or ""
    parts = [said.rstrip(".") + "." if said else "", f"One of{choices}." if choices else "", f"Default `{default}`." if default is not None else ""]
    return f"`{shown}`{' (required)' if parameter.required else ''}", " ".join(filter(None, parts))


def command_line() -> str:
    parts = ["Every command also takes:\n", table(("option", "meaning"), map(_option, cli.params))]
    for words, command in commands():
        arguments = " ".join(p.make_metavar(click.Context(command)) for p in command.params if isinstance(p, click.Argument))
        parts.append(f"\n## `{' '.join((*words, arguments)).strip()}`\n\n{inspect.cleandoc(command.help or '')}")
        if command.params:
            parts.append("\n" + table(("option", "meaning"), map(_option, command.params)))
    return "\n".join(parts)


def party_kinds() -> str:
    rows = [(f"`{kind}`", code(DEFAULT_PURPOSES.get(kind, ())) or "none: it only sends") for kind in KINDS]
    return table(("kind", "purposes unless `--purpose` says otherwise"), rows)


# The intake


def formats() -> str:
    rows = [
        (f"`{a.id}`", f"{a.title[0]} / {a.title[1]}", code(a.extensions), code(sorted(a.emits)), a.version) for a in adapters()
    ]  # fmt: skip
    return table(("`{format}`", "what", "file endings", "gives", "version"), rows)


def format_notes() -> str:
    return "\n\n".join(f"### `{a.id}`\n\n{inspect.cleandoc(inspect.getdoc(a) or '')}" for a in adapters())


def layouts() -> str:
    import yaml

    rows = []
    for path in sorted(LAYOUTS.glob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        rows.append((f"`{path.name}`", f"{content['title']['zh']} / {content['title']['en']}", f"`{content['kind']}`", len(content["examples"])))
    return table(("layout", "what", "gives", "examples"), rows)


def limits() -> str:
    return table(("limit", "value"), [(f"`{field.name}`", f"{field.default:,}") for field in msgspec.structs.fields(Limits)])


def fact_tables() -> str:
    parts = []
    for kind, names in FACTS.items():
        if names:
            shown = [STANDARD[kind].fields[name] for name in names]
            parts.append(f"### `{kind}`\n\n" + table(("fact", "unit", "meaning"), [(f"`{f.name}`", f.unit, f.meaning or f.en) for f in shown]))
    return "\n\n".join(parts)


# The standard


def measures() -> str:
    rows = [
        (
            f"`{m.key}`", m.zh, m.en, " ".join(m.loinc), " ".join(m.mdc), f"`{m.unit}`" if m.unit else "", m.category,
            next(name for name, bit in CODES.items() if bit == m.data_class), _range(m.low, m.high), _range(m.reject_low, m.reject_high), m.source,
        )
        for m in MEASURES.values()
    ]  # fmt: skip
    return table(("measure", "中文", "English", "LOINC", "MDC", "unit", "category", "data class", "usual", "possible", "source"), rows)


def bands() -> str:
    rows = [(" ".join(f"`{one}`" for one in b.figures), b.zh, b.en, *b.whom, b.span, b.source) for b in BANDS]
    return table(("figures", "中文", "English", "对象", "of whom", "usual", "source"), rows)


def _range(low: float | None, high: float | None) -> str:
    return f"{low:g} to {high:g}" if low is not None and high is not None else ""


def data_classes() -> str:
    return table(("class", "中文", "English", "bit"), [(f"`{name}`", *NAMES[name], int(bit).bit_length() - 1) for name, bit in CODES.items()])


def error_tree() -> str:
    drawn = (inspect.getdoc(errors) or "").split("\n\n")[1]
    return f"```text\n{inspect.cleandoc(drawn)}\n```"


def error_classes() -> list[type[errors.KineHubError]]:
    return [found for found in vars(errors).values() if inspect.isclass(found) and issubclass(found, errors.KineHubError)]


def error_codes() -> str:
    rows = [(f"`{found.code}`", found.status, f"`{found.__name__}`", (inspect.getdoc(found) or "").replace("\n", " ")) for found in error_classes()]
    return table(("code", "status", "error", "what to do"), rows)


def particular_codes() -> dict[str, set[str]]:
    """Codes given to single errors and rejected rows, with the classes that carry them, read from the source."""
    found: dict[str, set[str]] = {}
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name, value in _codes_of(node):
                found.setdefault(value, set()).add(name)
    return found


ROW_FAULTS = {"Rejected": 2, "_Bad": 1, "CellError": 0, "Fault": 2, "fault": 1}
"""What becomes a rejected row, and which of its arguments is the code."""


def _codes_of(node: ast.AST) -> Iterator[tuple[str, str]]:
    if not isinstance(node, ast.Call):
        return
    called = getattr(node.func, "id", getattr(node.func, "attr", ""))
    place = ROW_FAULTS.get(called, len(node.args))
    if called not in {*ROW_FAULTS, *(found.__name__ for found in error_classes())}:
        return
    given = next((word.value for word in node.keywords if word.arg == "code"), node.args[place] if place < len(node.args) else None)
    for value in (given.body, given.orelse) if isinstance(given, ast.IfExp) else (given,):
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
            yield "Rejected" if called in ROW_FAULTS else called, value.value


def special_codes() -> str:
    return table(("code", "carried by"), [(f"`{value}`", code(sorted(names))) for value, names in sorted(particular_codes().items())])


def flags() -> str:
    return table(("flag", "中文", "English"), [(f"`{name}`", *sentences) for name, sentences in FLAGS.items()])


# FHIR


APART = dict.fromkeys(published.TYPES, "the standard's tables") | {
    "OperationDefinition": "this hub's own operation", "AuditEvent": "the audit", "MeasureReport": "counts of venues",
}  # fmt: skip


def operations(type_: str) -> Iterable[str]:
    return OPERATIONS.get(type_, {})


def fhir_types() -> str:
    rows = [
        (f"`{name}`", code(interactions), code(KINDS_OF_TYPE.get(name, ())) or APART.get(name, "the directory"), code(f"${op}" for op in operations(name)))
        for name, interactions in sorted(TYPES.items())
    ]
    return table(("type", "interactions", "comes from", "operations"), rows)


def fhir_parameters() -> str:
    searched = sorted(name for name, interactions in TYPES.items() if "search-type" in interactions)
    rows = [(f"`{name}`", code(sorted(one.code for one in search_parameters(name).values() if is_supported(one)))) for name in searched]
    return table(("type", "search parameters"), rows)


def fhir_modifiers() -> str:
    return table(("parameter type", "modifiers"), [(kind, code(f":{name}" for name in names)) for kind, names in sorted(MODIFIERS.items())])


# Terminology


def _titled(resources: Iterable[dict[str, Any]], *more: Callable[[dict[str, Any]], object]) -> Iterable[Iterable[object]]:
    return ((f"`{one['id']}`", one["title"], f"`{one['url']}`", *(tell(one) for tell in more)) for one in resources)


def code_systems() -> str:
    rows = _titled(terminology.code_systems(), lambda one: code(found["code"] for found in one.get("property", ())))
    return table(("id", "title", "url", "properties"), rows)


def value_sets() -> str:
    return table(("id", "title", "url"), _titled(terminology.value_sets()))


def concept_maps() -> str:
    def sure(one: dict[str, Any]) -> str:
        found = Counter(target["equivalence"] for group in one["group"] for element in group["element"] for target in element["target"])
        return ", ".join(f"{name} {times}" for name, times in sorted(found.items()))

    rows = _titled(terminology.concept_maps(), lambda one: f"`{one['group'][0]['source']}`", lambda one: f"`{one['group'][0]['target']}`", sure)
    return table(("id", "title", "url", "from", "to", "how sure"), rows)


def terminology_operations() -> str:
    rows = [
        (f"`{type_}/${name}`", "" if name == "lookup" else f"`{type_}/ID/${name}`", code(taken.takes), code(taken.refuses))
        for (type_, name), taken in terms.TAKES.items()
    ]
    return table(("on the type", "on one", "takes", "refuses"), rows)


def instruments() -> str:
    rows = [(f"`{name}`", f"1 to {len(one.questions)}", one.questions[0].type, one.source) for name, one in INSTRUMENTS.items()]
    return table(("instrument", "link ids", "answers", "source"), rows)


def _definitions(extensions: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    found = ((url.rpartition("/")[2], one) for url, one in package.structures().items())
    return ((name, one) for name, one in found if (one["type"] == "Extension") is extensions)


def profiles() -> str:
    rows = [
        (f"`{name}`", one["title"] + (" (abstract)" if one.get("abstract") else ""), f"`{one['baseDefinition'].rpartition('/')[2]}`", one["description"])
        for name, one in _definitions(extensions=False)
    ]
    return table(("id", "title", "parent", "what it is for"), rows)


def derived_profiles() -> str:
    rows = [
        (f"`{one['baseDefinition'].rpartition('/')[2]}`", f"`{name}`")
        for name, one in _definitions(extensions=False) if one["baseDefinition"] in package.parents()
    ]  # fmt: skip
    return table(("theirs", "ours"), rows)


def unlisted_value_sets() -> str:
    elements = (element for one in package.parents().values() for element in one["snapshot"]["element"] if "binding" in element)
    found = {(element["binding"]["valueSet"], element["binding"]["strength"], element["id"]) for element in elements}
    rows = [(f"`{url}`", strength, f"`{where}`") for url, strength, where in sorted(found) if r4_terms.value_set(url) is None]
    return table(("value set", "strength", "element"), rows)


def _value_types(one: dict[str, Any]) -> str:
    values = next((element for element in one["snapshot"]["element"] if element["id"] == "Extension.value[x]"), {})
    return code(each["code"] for each in values.get("type", ())) if values.get("max") != "0" else "parts"


def extensions() -> str:
    rows = [
        (f"`{name}`", one["title"], code(each["expression"] for each in one["context"]), _value_types(one), one["description"])
        for name, one in _definitions(extensions=True)
    ]
    return table(("id", "title", "on", "value", "what it says"), rows)


def sampled_channels() -> str:
    rows = [(f"`-{one.slot}`", f"`{one.code}`", f"{one.zh}, {one.en.lower()}", f"`{one.unit}`", code(codes_of(one.data_class))) for one in CHANNELS.values()]
    return table(("id ends in", "code", "shows", "unit", "data class"), rows)


# Validation

CONFORMANCE = ROOT / "tests" / "conformance"


def agreement() -> str:
    """Cases by what was tried and by the verdicts of the reference and of this hub; `tests/conformance/test_agreement.py` keeps the numbers."""
    kept: dict[str, dict[str, int]] = json.loads((CONFORMANCE / "agreement.json").read_text(encoding="utf-8"))
    heads = list(next(iter(kept.values())))
    totals = [("all", *(sum(row[head] for row in kept.values()) for head in heads))]
    return table(("what was changed", *heads), [*((rule, *row.values()) for rule, row in kept.items()), *totals])


def validator_differences() -> str:
    listed = yaml.safe_load((CONFORMANCE / "differences.yaml").read_text(encoding="utf-8"))
    names = {"not_read": "not read", "reference": "reference alone", "ours": "ours alone"}
    return table(("column", "reason"), [(names[section], entry["reason"]) for section, entries in listed.items() for entry in entries])


def validated_types() -> str:
    return code(sorted(structures.core_types()))


def sensitivities() -> str:
    rows = [(f"`{one.code}`", one.zh, one.en, one.confidentiality, f"`{one.system}`", one.source) for one in labels.SENSITIVITIES.values()]
    return table(("code", "名称", "name", "confidentiality", "system", "source"), rows)


def label_rules() -> str:
    """The table, a row each; words in both languages as they are looked for."""
    rows = []
    for rule in labels.TABLE:
        looked_for = f"`{rule.value.replace(';', ' ')}`" if rule.value else ""
        words = rule.zh.replace(";", "、"), rule.en.replace(";", ", ").replace("*", "\\*")
        rows.append((f"`{rule.sensitivity}`", rule.by, looked_for, *words, rule.source))
    return f"Version {labels.VERSION} of the tables.\n\n" + table(("label", "by", "codes", "中文", "English", "source"), rows)


BLOCKS: dict[str, Callable[[], str]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        settings,
        suites,
        command_line,
        party_kinds,
        formats,
        format_notes,
        layouts,
        limits,
        fact_tables,
        measures,
        bands,
        data_classes,
        error_tree,
        error_codes,
        special_codes,
        flags,
        fhir_types,
        sampled_channels,
        fhir_parameters,
        fhir_modifiers,
        code_systems,
        value_sets,
        concept_maps,
        terminology_operations,
        instruments,
        agreement,
        validator_differences,
        validated_types,
        profiles,
        derived_profiles,
        unlisted_value_sets,
        extensions,
        sensitivities,
        label_rules,
    )
}
"""Block name to what writes it."""


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def filled(text: str) -> str:
    """A page's text with every block written anew. Raises KeyError for a block nobody writes."""
    return _BLOCK.sub(lambda found: f"<!-- generated: {found[1]} -->\n{BLOCKS[found[1]]()}\n<!-- end -->", text)


def stale() -> dict[Path, str]:
    """Pages whose generated parts are not what the code says, with what they should be."""
    texts: dict[Path, str] = {page: page.read_text(encoding="utf-8") for page in pages()}
    return {page: wanted for page, text in texts.items() if (wanted := filled(text)) != text}


def main(arguments: list[str]) -> Any:
    found = stale()
    if "--check" in arguments:
        return f"Stale: {', '.join(str(page.relative_to(ROOT)) for page in found)}. Run python docs/generate.py." if found else 0
    for page, text in found.items():
        page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
