"""Search expressions to closures: the part of FHIRPath that R4's search parameters use, compiled once.

    compile_path("Observation", "(Observation.value as Quantity) | Observation.component.code")

gives branches, each with the FHIR type of what it yields, because a matcher must know a Period from a Timing.
Understood: dotted paths over choice types, `|`, `as`, `.as()`, `.ofType()`, `.where(x = 'y')`, `.where(resolve() is Type)`,
`.exists()`, `extension('url')`, `[n]`, `=`, `!=`, `and`, `or`, parentheses, literals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from hub.exchange.definitions import below, code_systems, elements, resource_types

Node = Any
Step = Callable[[list[Node]], list[Node]]


class Branch(NamedTuple):
    """One alternative of an expression: the FHIR type of its values (an inner path for backbone elements) and how to read them.

    systems:   what a bare `code` is implied to belong to, by its required binding
    is_single: whether a resource has at most one such value
    """

    type: str
    read: Callable[[Node], list[Node]]
    systems: tuple[str, ...] = ()
    is_single: bool = True


class _Flow(NamedTuple):
    """A branch while it is being compiled. `chosen` is the element name a choice was reached by, for `as`."""

    type: str
    steps: tuple[Step, ...]
    systems: tuple[str, ...] = ()
    is_single: bool = True


_TOKENS = re.compile(r"\s*(?:('(?:[^'\\]|\\.)*')|(\d+)|(%?[A-Za-z_]\w*)|(!=|[.()|=\[\]]))")


def _tokens(expression: str) -> list[str]:
    found, at = [], 0
    while at < len(expression.rstrip()):
        match = _TOKENS.match(expression, at)
        if match is None:
            raise ValueError(f"search expression not understood at {at}: {expression}")
        found.append(match.group().strip())
        at = match.end()
    return [*found, ""]


def _child(key: str) -> Step:
    def step(nodes: list[Node]) -> list[Node]:
        found: list[Node] = []
        for node in nodes:
            value = node.get(key) if isinstance(node, dict) else None
            if isinstance(value, list):
                found.extend(one for one in value if one is not None)
            elif value is not None:
                found.append(value)
        return found

    return step


def reference_type(reference: Node) -> str:
    """The resource type a Reference names, from its literal or its `type`; empty when it does not say."""
    if not isinstance(reference, dict):
        return ""
    literal = str(reference.get("reference", ""))
    first, _, rest = literal.partition("/")
    if rest and first in resource_types():
        return first
    parts = literal.split("/_history/")[0].split("/")
    if len(parts) > 1 and parts[-2] in resource_types():
        return parts[-2]
    return str(reference.get("type", "")).rpartition("/")[2]


def _is_type(name: str) -> Step:
    return lambda nodes: [node for node in nodes if reference_type(node) == name]


def _keep(condition: Callable[[Node], bool]) -> Step:
    return lambda nodes: [node for node in nodes if condition(node)]


def _run(steps: Sequence[Step], node: Node) -> list[Node]:
    nodes = [node]
    for step in steps:
        nodes = step(nodes)
        if not nodes:
            break
    return nodes


def _descend(flow: _Flow, name: str) -> list[_Flow]:
    """The element `name` below a flow, one flow per type of a choice; a name that is the type itself stays where it is."""
    element = elements(flow.type).get(name)
    if element is None:
        return []
    systems = code_systems(f"{flow.type}.{name}")
    return [
        _Flow(below(flow.type, element, kind), (*flow.steps, _child(key)), systems, flow.is_single and not element.is_array)
        for key, kind in element.typed_keys()
    ]


def _same_type(flow: _Flow, name: str) -> bool:
    # R4 writes `value.as(DateTime)` in one composite, and `as Age` where the type is Age.
    return flow.type.casefold() == name.casefold()


class _Compiler:
    """Recursive descent over the tokens of one alternative, `root` being what a bare name starts from."""

    def __init__(self, tokens: list[str], at: int, root: tuple[_Flow, ...]) -> None:
        self.tokens = tokens
        self.at = at
        self.root = root

    def take(self, token: str) -> bool:
        if self.tokens[self.at] == token:
            self.at += 1
            return True
        return False

    def next(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise ValueError(f"search expression: expected {token} before {self.tokens[self.at]}")

    def condition(self) -> list[_Flow]:
        found = self.comparison()
        while self.tokens[self.at] in ("and", "or"):
            found = [_logic(self.next(), found, self.comparison())]
        return found

    def comparison(self) -> list[_Flow]:
        found = self.union()
        if self.tokens[self.at] in ("=", "!="):
            return [_compare(self.next(), found, self.union())]
        if self.take("is"):
            return [_Flow("boolean", (_is_type(self.next()),))]
        return found

    def union(self) -> list[_Flow]:
        found = self.cast()
        while self.take("|"):
            found = [*found, *self.cast()]
        return found

    def cast(self) -> list[_Flow]:
        found = self.path()
        if self.take("as"):
            name = self.next()
            found = [flow for flow in found if _same_type(flow, name)]
        return found

    def path(self) -> list[_Flow]:
        found = self.first()
        while True:
            if self.take("."):
                found = self.step(found)
            elif self.take("["):
                index = int(self.next())
                self.expect("]")
                found = [flow._replace(steps=(*flow.steps, _at(index)), is_single=True) for flow in found]
            else:
                return found

    def first(self) -> list[_Flow]:
        if self.take("("):
            found = self.condition()
            self.expect(")")
            return found
        token = self.tokens[self.at]
        if token.startswith("'") or token.isdigit() or token in ("true", "false"):
            return [_literal(self.next())]
        if token[0].isupper():
            self.at += 1
            return list(self.root)
        return self.step(list(self.root))

    def step(self, flows: list[_Flow]) -> list[_Flow]:
        name = self.next()
        if self.take("("):
            return self.call(name, flows)
        return [found for flow in flows for found in _descend(flow, name)]

    def call(self, name: str, flows: list[_Flow]) -> list[_Flow]:
        if name in ("as", "ofType"):
            kind = self.next()
            self.expect(")")
            return [flow for flow in flows if _same_type(flow, kind)]
        if name == "exists":
            self.expect(")")
            return [_exists(flows)]
        if name == "resolve":
            self.expect(")")
            return flows
        if name == "extension":
            url = self.next()[1:-1]
            self.expect(")")
            return [_extension(flow, url) for flow in flows]
        if name == "where":
            return self.where(flows)
        raise ValueError(f"search expression: function {name} is not understood")

    def where(self, flows: list[_Flow]) -> list[_Flow]:
        start, found = self.at, []
        for flow in flows or [_Flow("", ())]:
            self.at = start
            inner = _Compiler(self.tokens, start, (_Flow(flow.type, ()),))
            test = _truth(inner.condition())
            self.at = inner.at
            self.expect(")")
            found.append(flow._replace(steps=(*flow.steps, _keep(test))))
        return found if flows else []


def _at(index: int) -> Step:
    return lambda nodes: nodes[index : index + 1]


def _literal(token: str) -> _Flow:
    value: Node = token[1:-1] if token.startswith("'") else {"true": True, "false": False}.get(token, token)
    return _Flow("literal", (lambda _: [value],))


def _extension(flow: _Flow, url: str) -> _Flow:
    return _Flow("Extension", (*flow.steps, _child("extension"), _keep(lambda node: node.get("url") == url)), (), False)


def _values(flows: Sequence[_Flow], node: Node) -> list[Node]:
    return [value for flow in flows for value in _run(flow.steps, node)]


def _truth(flows: Sequence[_Flow]) -> Callable[[Node], bool]:
    return lambda node: any(value is not False for value in _values(flows, node))


def _boolean(test: Callable[[Node], bool]) -> _Flow:
    return _Flow("boolean", (lambda nodes: [test(node) for node in nodes],))


def _exists(flows: Sequence[_Flow]) -> _Flow:
    return _boolean(lambda node: bool(_values(flows, node)))


def _logic(word: str, one: Sequence[_Flow], other: Sequence[_Flow]) -> _Flow:
    left, right = _truth(one), _truth(other)
    if word == "and":
        return _boolean(lambda node: left(node) and right(node))
    return _boolean(lambda node: left(node) or right(node))


def _compare(sign: str, one: Sequence[_Flow], other: Sequence[_Flow]) -> _Flow:
    def equal(node: Node) -> bool:
        return _values(one, node) == _values(other, node)

    return _boolean(equal) if sign == "=" else _boolean(lambda node: not equal(node))


def _branch(flow: _Flow) -> Branch:
    steps = flow.steps
    return Branch(flow.type, lambda node: _run(steps, node), flow.systems, flow.is_single)


def _alternatives(expression: str) -> list[str]:
    """The expression cut at each `|` outside parentheses."""
    found, depth, start = [], 0, 0
    for at, sign in enumerate(expression):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "|" and depth == 0:
            found.append(expression[start:at])
            start = at + 1
    return [*found, expression[start:]]


def _starts_elsewhere(alternative: str, context: str) -> bool:
    first = re.match(r"[\s(]*([A-Za-z]+)", alternative)
    return first is not None and first[1] != context and first[1] in resource_types()


def _compile(context: str, alternative: str) -> list[_Flow]:
    compiler = _Compiler(_tokens(alternative), 0, (_Flow(context, ()),))
    flows = compiler.condition()
    if compiler.tokens[compiler.at]:
        raise ValueError(f"search expression not understood after {compiler.tokens[compiler.at]}: {alternative}")
    return flows


@cache
def compile_path(context: str, expression: str) -> tuple[Branch, ...]:
    """The branches of a search expression that can yield something in `context`, a resource type or an inner path.

    Raises ValueError for what is outside the understood part of FHIRPath (a defect of the definitions, never of a request).
    """
    alternatives = (one for one in _alternatives(expression) if not _starts_elsewhere(one, context))
    return tuple(_branch(flow) for one in alternatives for flow in _compile(context, one))


def evaluate(resource: Node, expression: str) -> list[Node]:
    """All values of an expression in one resource, in the order of its branches."""
    return [value for branch in compile_path(str(resource["resourceType"]), expression) for value in branch.read(resource)]
