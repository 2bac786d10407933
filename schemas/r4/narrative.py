"""A narrative's XHTML: R4's txt-1 and txt-2 (the tags and attributes of HTML 4.0 that carry no behaviour, and some content)."""

from __future__ import annotations

from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from schemas.r4.fhirpath import Scope
from schemas.r4.issues import Found, error

_XHTML: Final = "{http://www.w3.org/1999/xhtml}"
_TAG_NAMES: Final = """
    p br div h1 h2 h3 h4 h5 h6 a span b em i strong small big tt dfn q var abbr acronym cite blockquote hr address bdo kbd sub sup ul ol li dl dt dd pre
    table caption colgroup col thead tr tfoot tbody th td code samp img map area ins del u s
"""
_ATTRIBUTE_NAMES: Final = """
    title style class id xml:lang lang dir accesskey tabindex span width align valign char charoff abbr axis headers scope rowspan colspan href name
    hreflang rel rev charset type src alt longdesc height usemap ismap shape coords cite datetime border cellpadding cellspacing frame rules summary nowrap
    noshade compact start value bgcolor
"""
_TAGS: Final = frozenset(_TAG_NAMES.split())
_ATTRIBUTES: Final = frozenset(_ATTRIBUTE_NAMES.split())
_WRONG: Final = error("invalid", "txt-1", "The narrative is not XHTML as R4 allows it (txt-1).")
_EMPTY: Final = error("invalid", "txt-2", "The narrative has no content (txt-2).")


def xhtml_rule(value: Any, scope: Scope) -> Found:
    """Judges `div` of a narrative."""
    if type(value) is not str:
        return None
    try:
        root = fromstring(value, forbid_dtd=True)
    except (ParseError, DefusedXmlException):
        return _WRONG
    if root.tag != _XHTML + "div" or not all(_is_allowed(one) for one in root.iter()):
        return _WRONG
    return None if "".join(root.itertext()).strip() or root.find(f".//{_XHTML}img") is not None else _EMPTY


def _is_allowed(element: Element) -> bool:
    tag = element.tag
    if not isinstance(tag, str):  # a comment
        return True
    names = (name.replace("{http://www.w3.org/XML/1998/namespace}", "xml:") for name in element.attrib)
    return tag.removeprefix(_XHTML) in _TAGS and tag.startswith(_XHTML) and all(name in _ATTRIBUTES for name in names)
