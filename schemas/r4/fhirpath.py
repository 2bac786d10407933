"""FHIRPath, as far as R4's invariants and ours use it, compiled to Python functions over parsed JSON.

A collection is a list. An element that is there without a value (only `_birthDate` is written) is `NO_VALUE`.
What is not known here (a function, an operator) is a ValueError when the expression is compiled, never a wrong answer later.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final

import orjson

Items = list[Any]


class Scope:
    """What `%resource` and `%rootResource` are: a contained resource and the one that holds it, else the same twice."""

    __slots__ = ("_contained", "resource", "root")

    def __init__(self, resource: dict[str, Any], root: dict[str, Any]) -> None:
        self.resource = resource
        self.root = root
        self._contained: dict[str, dict[str, Any]] | None = None

    def contained(self) -> dict[str, dict[str, Any]]:
        """The resources the root holds, by their ids; read once."""
        if self._contained is None:
            held = self.root.get("contained")
            found = [one for one in held if type(one) is dict] if type(held) is list else []
            self._contained = {one["id"]: one for one in found if type(one.get("id")) is str}
        return self._contained


Many = Callable[[Any, Scope], Items]
"""The collection that an expression yields on an item."""
Truth = Callable[[Any, Scope], bool | None]
"""What a condition says of an item; None = nothing."""

NO_VALUE: Final = object()
UCUM: Final = "http://unitsofmeasure.org"

_TOKEN: Final = re.compile(r"""
    \s*(?:(?P<text>'(?:[^'\\]|\\.)*') | (?P<number>\d+(?:\.\d+)?) | (?P<date>@[0-9T:.+\-Z]+) | (?P<name>[A-Za-z_]\w*) | `(?P<quoted>[^`]*)`
    | (?P<variable>%(?:`[^`]*`|[\w-]+)|\$\w+) | (?P<sign><=|>=|!=|!~|[()\[\]{}.,|&=<>~+\-*/]))""", re.VERBOSE)  # fmt: skip
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}
_LEVELS: Final[tuple[tuple[str, ...], ...]] = (
    ("implies",), ("or", "xor"), ("and",), ("in", "contains"), ("=", "!=", "~", "!~"), ("<", ">", "<=", ">="), ("|",), ("is", "as"),
    ("+", "-", "&"), ("*", "/", "div", "mod"),
)  # fmt: skip
"""Binary operators from the loosest to the tightest."""
_OPERATOR_NAMES: Final = frozenset({"implies", "or", "xor", "and", "in", "contains", "is", "as", "div", "mod"})

Tree = tuple[Any, ...]
"""("step", name) ("literal", items) ("variable", name) ("of", source, tree) ("call", name, arguments) ("index", source, tree) or (operator, left, right)."""


# Reading


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at, text = [], 0, text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"FHIRPath is not understood at {at}: {text}")
        found.append((match.lastgroup or "", match[match.lastgroup or 0]))
        at = match.end()
    return [*found, ("end", "")]


class _Reader:
    """A recursive descent over the tokens."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.at = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at]

    def take(self, text: str = "") -> tuple[str, str]:
        token = self.tokens[self.at]
        if text and token != ("sign", text):
            raise ValueError(f"FHIRPath: {text} is missing before {token[1]}")
        self.at += 1
        return token

    def is_sign(self, text: str) -> bool:
        return self.peek() == ("sign", text)

    def tree(self, level: int = 0) -> Tree:
        if level == len(_LEVELS):
            return self.chain()
        left = self.tree(level + 1)
        while self.peek()[0] in ("sign", "name") and self.peek()[1] in _LEVELS[level]:
            operator = self.take()[1]
            right = self.type_name() if operator in ("is", "as") else self.tree(level + 1)
            left = (operator, left, right)
        return left

    def type_name(self) -> Tree:
        name = self.take()[1]
        while self.is_sign("."):
            self.take()
            name = self.take()[1]
        return ("step", name)

    def chain(self) -> Tree:
        found = self.term()
        while self.is_sign(".") or self.is_sign("["):
            if self.take()[1] == "[":
                found = ("index", found, self.tree())
                self.take("]")
            else:
                found = ("of", found, self.invocation())
        return found

    def invocation(self) -> Tree:
        kind, text = self.take()
        if kind == "variable":
            return ("variable", text)
        if kind not in ("name", "quoted"):
            raise ValueError(f"FHIRPath: {text} is no name")
        if not self.is_sign("("):
            return ("step", text)
        self.take()
        arguments = []
        while not self.is_sign(")"):
            arguments.append(self.tree())
            if self.is_sign(","):
                self.take()
        self.take()
        return ("call", text, *arguments)

    def term(self) -> Tree:
        kind, text = self.peek()
        if kind == "sign":
            return self.signed()
        if kind in ("name", "quoted", "variable") and text not in ("true", "false"):
            return self.invocation()
        self.take()
        if kind == "text":
            return ("literal", [re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text[1:-1])])
        if kind == "number":
            return ("literal", [float(text) if "." in text else int(text)])
        if kind == "name":
            return ("literal", [text == "true"])
        raise ValueError(f"FHIRPath: {text or 'the end'} is not expected")

    def signed(self) -> Tree:
        sign = self.take()[1]
        if sign == "-":
            return ("-", ("literal", [0]), self.chain())
        if sign == "{":
            self.take("}")
            return ("literal", [])
        if sign != "(":
            raise ValueError(f"FHIRPath: {sign} is not expected")
        found = self.tree()
        self.take(")")
        return found


def _read(text: str) -> Tree:
    reader = _Reader(text)
    found = reader.tree()
    if reader.peek()[0] != "end":
        raise ValueError(f"FHIRPath: {reader.peek()[1]} is not expected in {text}")
    return found


# Navigation


@dataclass(frozen=True, eq=False)
class Choices:
    """What R4 calls its choices: `value` to the JSON keys it may be written as."""

    keys: Mapping[str, frozenset[str]]


def _step(name: str, choices: Choices) -> Many:
    below, keys = "_" + name, choices.keys.get(name, frozenset())

    def step(item: Any, scope: Scope) -> Items:
        if type(item) is not dict:
            return []
        if name in item:
            value = item[name]
            if type(value) is list:
                return [NO_VALUE if one is None else one for one in value]
            return [value]
        if below in item:
            return [NO_VALUE]
        return [item[key] for key in keys & item.keys()] if keys else []

    return step


def _has(name: str, choices: Choices) -> Callable[[Any, Scope], bool]:
    """Whether a step from an item leads anywhere."""
    below, keys = "_" + name, choices.keys.get(name)
    if not keys:
        return lambda item, scope: type(item) is dict and (name in item or below in item)
    some = frozenset({name, below, *keys, *("_" + key for key in keys)})
    return lambda item, scope: type(item) is dict and not some.isdisjoint(item)


def children(item: Any) -> Items:
    """The elements directly below one, with what only has an extension as NO_VALUE."""
    if type(item) is not dict:
        return []
    found: Items = []
    for key, value in item.items():
        if key == "resourceType":
            continue
        if key[0] == "_":
            found.extend([NO_VALUE] if key[1:] not in item else [])
        elif type(value) is list:
            found.extend(NO_VALUE if one is None else one for one in value)
        else:
            found.append(value)
    return found


def descendants(item: Any) -> Iterator[Any]:
    """Everything below an item."""
    for child in children(item):
        yield child
        yield from descendants(child)


# Values


def _is_equal(one: Any, other: Any) -> bool:
    if type(one) is bool or type(other) is bool:
        return one is other
    return bool(one == other)


def _are_equal(left: Items, right: Items) -> bool | None:
    if not left or not right:
        return None
    return len(left) == len(right) and all(_is_equal(*pair) for pair in zip(left, right, strict=True))


_MOMENT: Final = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?")


def _compare(one: Any, other: Any) -> int | None:
    """Negative, zero or positive; None when the two cannot be compared."""
    if type(one) is dict and type(other) is dict:
        return _compare_quantities(one, other)
    if isinstance(one, str) and isinstance(other, str):
        return _compare_moments(one, other) if _MOMENT.fullmatch(one) and _MOMENT.fullmatch(other) else (one > other) - (one < other)
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return (one > other) - (one < other)
    return None


def _compare_quantities(one: dict[str, Any], other: dict[str, Any]) -> int | None:
    def unit(quantity: dict[str, Any]) -> tuple[Any, Any]:
        return (quantity.get("system"), quantity["code"]) if "code" in quantity else (None, quantity.get("unit"))

    if unit(one) != unit(other) or "value" not in one or "value" not in other:
        return None
    return _compare(one["value"], other["value"])


def _compare_moments(one: str, other: str) -> int | None:
    if "T" in one and "T" in other:
        try:
            left, right = (datetime.fromisoformat(text.replace(":60", ":59")) for text in (one, other))  # a leap second has no datetime
            return (left > right) - (left < right)
        except (ValueError, TypeError):
            return None
    common = min(len(one.partition("T")[0]), len(other.partition("T")[0]))
    if one[:common] == other[:common]:
        return 0 if len(one) == len(other) else None
    return (one[:common] > other[:common]) - (one[:common] < other[:common])


def _boolean(items: Items) -> bool | None:
    """Singleton evaluation: one item that is no boolean is true."""
    if not items:
        return None
    return items[0] if type(items[0]) is bool and len(items) == 1 else True


def _identity(item: Any) -> Any:
    """What equal items have in common, to be looked up: comparing each with each takes a body's length squared."""
    kind = type(item)
    if kind is dict or kind is list:
        return orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
    return (kind is bool, item)


def _distinct(items: Items) -> Items:
    return list({_identity(item): item for item in reversed(items)}.values())[::-1] if len(items) > 1 else items


def _text(items: Items) -> str | None:
    return items[0] if len(items) == 1 and isinstance(items[0], str) else None


def _is_type(item: Any, name: str) -> bool:
    if type(item) is dict and "resourceType" in item:
        return bool(item["resourceType"] == name)
    tests: dict[str, Any] = {"boolean": bool, "string": str, "decimal": (int, float), "integer": int, "date": str, "dateTime": str, "code": str}
    expected = tests.get(name[0].lower() + name[1:])
    return expected is not None and isinstance(item, expected) and (expected is bool or type(item) is not bool)


# Compiling


@cache
def condition(text: str, choices: Choices, context: str) -> Truth:
    """The function of a condition on an item of a type (`Observation`), as R4 writes its invariants. Raises ValueError."""
    return _Compiler(choices, context).truth(_read(text))


@cache
def selection(text: str, choices: Choices) -> Many:
    """The function of an expression that selects items. Raises ValueError."""
    return _Compiler(choices, "").many(_read(text))


class _Compiler:
    """Turns trees into functions. `many` yields collections, `truth` the same as a boolean without making one."""

    def __init__(self, choices: Choices, context: str) -> None:
        self.choices = choices
        self.context = context

    def many(self, tree: Tree) -> Many:
        made = getattr(self, f"_many_{tree[0]}", None)
        if made is not None:
            return made(*tree[1:])  # type: ignore[no-any-return]
        if tree[0] in ("&", "+", "-", "|", "as"):
            return self._computed(*tree)
        truth = self.truth(tree)
        return lambda item, scope: [] if (found := truth(item, scope)) is None else [found]

    def truth(self, tree: Tree) -> Truth:
        operator = tree[0]
        if operator in _CONNECTIVES:
            return _CONNECTIVES[operator](self.truth(tree[1]), self.truth(tree[2]))
        if operator in ("=", "!=", "~", "!~", "<", ">", "<=", ">=", "in", "contains"):
            return self._compared(operator, tree[1], tree[2])
        if operator == "is":
            return self._is(tree[1], tree[2][1])
        if operator == "of" and tree[2][0] == "call" and tree[2][1] in _TRUTHS:
            return _TRUTHS[tree[2][1]](self, tree[1], tree[2][2:])
        if operator == "call" and tree[1] in _TRUTHS:
            return _TRUTHS[tree[1]](self, ("variable", "$this"), tree[2:])
        many = self.many(tree)
        return lambda item, scope: _boolean(many(item, scope))

    def _many_literal(self, items: Items) -> Many:
        return lambda item, scope: items

    def _many_variable(self, name: str) -> Many:
        if name == "%resource":
            return lambda item, scope: [scope.resource]
        if name == "%rootResource":
            return lambda item, scope: [scope.root]
        if name in ("$this", "%context"):
            return lambda item, scope: [item]
        if name == "%ucum":
            return lambda item, scope: [UCUM]
        raise ValueError(f"FHIRPath: {name} is not known")

    def _many_step(self, name: str) -> Many:
        if name == self.context:
            return lambda item, scope: [item]
        return _step(name, self.choices)

    def _many_of(self, source: Tree, tree: Tree) -> Many:
        if tree[0] == "call":
            return self._call(source, tree[1], tree[2:])
        start = self.many(source)
        step = self.many(tree) if tree[0] == "variable" else _step(tree[1], self.choices)

        def of(item: Any, scope: Scope) -> Items:
            items = start(item, scope)
            if len(items) == 1:
                return step(items[0], scope)
            return [one for each in items for one in step(each, scope)] if items else items

        return of

    def _many_call(self, name: str, *arguments: Tree) -> Many:
        return self._call(("variable", "$this"), name, arguments)

    def _many_index(self, source: Tree, tree: Tree) -> Many:
        start, index = self.many(source), self.many(tree)

        def at(item: Any, scope: Scope) -> Items:
            (place,) = index(item, scope)
            return start(item, scope)[place : place + 1]

        return at

    def _call(self, source: Tree, name: str, arguments: tuple[Tree, ...]) -> Many:
        if name in ("as", "ofType"):
            return self._as(source, arguments[0][1])
        if name in _COLLECTIONS:
            return _COLLECTIONS[name](self, source, arguments)
        if name in _TRUTHS:
            truth = _TRUTHS[name](self, source, arguments)
            return lambda item, scope: [] if (found := truth(item, scope)) is None else [found]
        raise ValueError(f"FHIRPath: {name}() is not known")

    def _choice(self, source: Tree, type_: str) -> tuple[Many, str] | None:
        """Where a choice is asked for one of its types: what leads to its parent, and the key."""
        parent, step = (source[1], source[2]) if source[0] == "of" else (("variable", "$this"), source)
        if step[0] != "step" or step[1] not in self.choices.keys:
            return None
        return self.many(parent), step[1] + type_[0].upper() + type_[1:]

    def _is(self, source: Tree, type_: str) -> Truth:
        if (choice := self._choice(source, type_)) is not None:
            parent, key = choice
            return lambda item, scope: any(type(one) is dict and (key in one or "_" + key in one) for one in parent(item, scope))
        many = self.many(source)
        return lambda item, scope: None if not (found := many(item, scope)) else all(_is_type(one, type_) for one in found)

    def _as(self, source: Tree, type_: str) -> Many:
        if (choice := self._choice(source, type_)) is not None:
            parent, key = choice
            return lambda item, scope: [one[key] for one in parent(item, scope) if type(one) is dict and key in one]
        many = self.many(source)
        return lambda item, scope: [one for one in many(item, scope) if _is_type(one, type_)]

    def _computed(self, operator: str, left: Tree, right: Tree) -> Many:
        if operator == "as":
            return self._as(left, right[1])
        one, other = self.many(left), self.many(right)
        if operator == "|":
            return lambda item, scope: _distinct([*one(item, scope), *other(item, scope)])
        if operator == "&":
            return lambda item, scope: ["".join(str(part) for part in (*one(item, scope)[:1], *other(item, scope)[:1]) if part is not NO_VALUE)]

        def sum_(item: Any, scope: Scope) -> Items:
            left_items, right_items = one(item, scope), other(item, scope)
            if len(left_items) != 1 or len(right_items) != 1 or NO_VALUE in (left_items[0], right_items[0]):
                return []
            return [left_items[0] + right_items[0] if operator == "+" else left_items[0] - right_items[0]]

        return sum_

    def _compared(self, operator: str, left: Tree, right: Tree) -> Truth:
        one, other = self.many(left), self.many(right)
        if operator in ("in", "contains"):
            inner, outer = (one, other) if operator == "in" else (other, one)

            def among(item: Any, scope: Scope) -> bool | None:
                found = inner(item, scope)
                return any(_is_equal(found[0], each) for each in outer(item, scope)) if found else None

            return among
        if operator in ("=", "~"):
            return lambda item, scope: _are_equal(one(item, scope), other(item, scope))
        if operator in ("!=", "!~"):
            return lambda item, scope: None if (same := _are_equal(one(item, scope), other(item, scope))) is None else not same
        test = _ORDERS[operator]

        def ordered(item: Any, scope: Scope) -> bool | None:
            left_items, right_items = one(item, scope), other(item, scope)
            if len(left_items) != 1 or len(right_items) != 1:
                return None
            found = _compare(left_items[0], right_items[0])
            return None if found is None else test(found)

        return ordered


_ORDERS: Final[dict[str, Callable[[int], bool]]] = {
    "<": lambda found: found < 0, ">": lambda found: found > 0, "<=": lambda found: found <= 0, ">=": lambda found: found >= 0,
}  # fmt: skip


def _both(one: Truth, other: Truth) -> Truth:
    def both(item: Any, scope: Scope) -> bool | None:
        left = one(item, scope)
        if left is False:
            return False
        right = other(item, scope)
        return False if right is False else None if left is None or right is None else True

    return both


def _either(one: Truth, other: Truth) -> Truth:
    def either(item: Any, scope: Scope) -> bool | None:
        left = one(item, scope)
        if left:
            return True
        right = other(item, scope)
        return True if right else None if left is None or right is None else False

    return either


def _one_of(one: Truth, other: Truth) -> Truth:
    def one_of(item: Any, scope: Scope) -> bool | None:
        left, right = one(item, scope), other(item, scope)
        return None if left is None or right is None else left is not right

    return one_of


def _implies(one: Truth, other: Truth) -> Truth:
    def implies(item: Any, scope: Scope) -> bool | None:
        left = one(item, scope)
        if left is False:
            return True
        right = other(item, scope)
        return True if right else None if left is None or right is None else False

    return implies


_CONNECTIVES: Final[dict[str, Callable[[Truth, Truth], Truth]]] = {"and": _both, "or": _either, "xor": _one_of, "implies": _implies}

Arguments = tuple[Tree, ...]


def _exists(compiler: _Compiler, source: Tree, arguments: Arguments) -> Truth:
    if arguments:
        source = ("of", source, ("call", "where", *arguments))
    if source[0] == "step" and source[1] != compiler.context:
        return _has(source[1], compiler.choices)
    many = compiler.many(source)
    return lambda item, scope: bool(many(item, scope))


def _empty(compiler: _Compiler, source: Tree, arguments: Arguments) -> Truth:
    exists = _exists(compiler, source, arguments)
    return lambda item, scope: not exists(item, scope)


def _not(compiler: _Compiler, source: Tree, arguments: Arguments) -> Truth:
    truth = compiler.truth(source)
    return lambda item, scope: None if (found := truth(item, scope)) is None else not found


def _all(compiler: _Compiler, source: Tree, arguments: Arguments) -> Truth:
    many, truth = compiler.many(source), compiler.truth(arguments[0])
    return lambda item, scope: all(truth(one, scope) is True for one in many(item, scope))


def _has_value(compiler: _Compiler, source: Tree, arguments: Arguments) -> Truth:
    many = compiler.many(source)
    return lambda item, scope: len(found := many(item, scope)) == 1 and found[0] is not NO_VALUE and type(found[0]) is not dict


def _is_distinct(compiler: _Compiler, source: Tree, arguments: Arguments) -> Truth:
    many = compiler.many(source)
    return lambda item, scope: len(found := many(item, scope)) < 2 or len(_distinct(found)) == len(found)


def _worded(test: Callable[[str, str], bool]) -> Callable[[_Compiler, Tree, Arguments], Truth]:
    """A test of one text against another; on nothing, or on what is no text, it says nothing."""

    def made(compiler: _Compiler, source: Tree, arguments: Arguments) -> Truth:
        many, argument = compiler.many(source), compiler.many(arguments[0])

        def tested(item: Any, scope: Scope) -> bool | None:
            text, other = _text(many(item, scope)), _text(argument(item, scope))
            return None if text is None or other is None else test(text, other)

        return tested

    return made


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.DOTALL)


def _is_call(compiler: _Compiler, source: Tree, arguments: Arguments) -> Truth:
    return compiler._is(source, arguments[0][1])


def _unchecked(compiler: _Compiler, source: Tree, arguments: Arguments) -> Truth:
    return lambda item, scope: True


_TRUTHS: Final[dict[str, Callable[[_Compiler, Tree, Arguments], Truth]]] = {
    "exists": _exists, "empty": _empty, "not": _not, "all": _all, "hasValue": _has_value, "isDistinct": _is_distinct, "is": _is_call,
    "matches": _worded(lambda text, pattern: _pattern(pattern).fullmatch(text) is not None),
    "startsWith": _worded(lambda text, other: text.startswith(other)), "endsWith": _worded(lambda text, other: text.endswith(other)),
    "contains": _worded(lambda text, other: other in text),
    "htmlChecks": _unchecked,
}  # fmt: skip
"""Functions that say yes, no or nothing. The narrative is judged in `narrative.py`."""


def _where(compiler: _Compiler, source: Tree, arguments: Arguments) -> Many:
    many, truth = compiler.many(source), compiler.truth(arguments[0])
    return lambda item, scope: [one for one in many(item, scope) if truth(one, scope)]


def _select(compiler: _Compiler, source: Tree, arguments: Arguments) -> Many:
    many, inner = compiler.many(source), compiler.many(arguments[0])
    return lambda item, scope: [found for one in many(item, scope) for found in inner(one, scope)]


def _of_items(made: Callable[[Items], Items]) -> Callable[[_Compiler, Tree, Arguments], Many]:
    def function(compiler: _Compiler, source: Tree, arguments: Arguments) -> Many:
        many = compiler.many(source)
        return lambda item, scope: made(many(item, scope))

    return function


def _intersect(compiler: _Compiler, source: Tree, arguments: Arguments) -> Many:
    many, other = compiler.many(source), compiler.many(arguments[0])

    def common(item: Any, scope: Scope) -> Items:
        found = many(item, scope)
        kept = {_identity(one) for one in other(item, scope)} if found else set()
        return [one for one in found if _identity(one) in kept]

    return common


def _union(compiler: _Compiler, source: Tree, arguments: Arguments) -> Many:
    return compiler.many(("|", source, arguments[0]))


def _iif(compiler: _Compiler, source: Tree, arguments: Arguments) -> Many:
    truth, *branches = compiler.truth(arguments[0]), *(compiler.many(one) for one in arguments[1:])
    return lambda item, scope: branches[0](item, scope) if truth(item, scope) else branches[1](item, scope) if branches[1:] else []


def _extension(compiler: _Compiler, source: Tree, arguments: Arguments) -> Many:
    many, url = compiler.many(("of", source, ("step", "extension"))), compiler.many(arguments[0])
    return lambda item, scope: [one for one in many(item, scope) if type(one) is dict and [one.get("url")] == url(item, scope)]


def _substring(compiler: _Compiler, source: Tree, arguments: Arguments) -> Many:
    many, bounds = compiler.many(source), [compiler.many(one) for one in arguments]

    def part(item: Any, scope: Scope) -> Items:
        text, (start, *length) = _text(many(item, scope)), [bound(item, scope)[0] for bound in bounds]
        return [] if text is None or start >= len(text) else [text[start : start + length[0] if length else None]]

    return part


def _integer(items: Items) -> Items:
    return [int(items[0])] if len(items) == 1 and re.fullmatch(r"[+-]?\d+", str(items[0])) else []


def _string(items: Items) -> Items:
    return [str(items[0]).lower() if type(items[0]) is bool else str(Decimal(str(items[0]))) if type(items[0]) is float else str(items[0])] if items else []


_COLLECTIONS: Final[dict[str, Callable[[_Compiler, Tree, Arguments], Many]]] = {
    "where": _where, "select": _select, "intersect": _intersect, "union": _union, "combine": _union, "iif": _iif, "extension": _extension,
    "substring": _substring, "trace": _of_items(lambda items: items), "first": _of_items(lambda items: items[:1]),
    "last": _of_items(lambda items: items[-1:]), "tail": _of_items(lambda items: items[1:]), "count": _of_items(lambda items: [len(items)]),
    "distinct": _of_items(_distinct), "toInteger": _of_items(_integer), "toString": _of_items(_string),
    "length": _of_items(lambda items: [len(text)] if (text := _text(items)) is not None else []),
    "children": _of_items(lambda items: [child for item in items for child in children(item)]),
    "descendants": _of_items(lambda items: [below for item in items for below in descendants(item)]),
    "resolve": _of_items(lambda items: []),
}  # fmt: skip
"""Functions that yield collections. A reference is not followed: `resolve()` yields nothing."""
