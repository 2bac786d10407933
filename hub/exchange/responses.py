"""A QuestionnaireResponse against the published Questionnaire that it names, which R4's definitions alone cannot judge.

Ours are flat lists of questions, each answered once at most. A response to a Questionnaire that is not held is judged by nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from hub.exchange import published
from schemas.r4.issues import Issue

Content = Mapping[str, Any]

_VALUES: Final = {"boolean": "valueBoolean", "integer": "valueInteger", "string": "valueString"}


def judged(response: Content) -> list[Issue]:
    """What does not fit. The structure of the response is sound."""
    known = _named(response)
    return list(_items(response, known)) if known else []


def _named(response: Content) -> Content | None:
    url, _, version = str(response.get("questionnaire", "")).partition("|")
    return next((one for one in published.every("Questionnaire") if one["url"] == url and version in ("", one["version"])), None)


def _items(response: Content, questionnaire: Content) -> Iterator[Issue]:
    questions = {question["linkId"]: question for question in questionnaire["item"]}
    places = {link: place for place, link in enumerate(questions)}
    last = -1
    for number, item in enumerate(response.get("item", ())):
        path, link = f"QuestionnaireResponse.item[{number}]", item.get("linkId")
        if link not in questions:
            yield _wrong(f"{path}.linkId", "The Questionnaire has no item of this linkId.")
            continue
        if places[link] <= last:
            yield _wrong(path, "The items stand once each, in the order of the Questionnaire.")
        last = max(last, places[link])
        yield from _item(item, questions[link], path)


def _item(item: Content, question: Content, path: str) -> Iterator[Issue]:
    if "text" in item and item["text"] != question.get("text"):
        yield _wrong(f"{path}.text", "The text is not that of the Questionnaire's item.")
    if "item" in item:
        yield _wrong(f"{path}.item", "The Questionnaire has no items inside this one.")
    answers = item.get("answer", ())
    if len(answers) > 1:
        yield _wrong(f"{path}.answer", "The question is answered once.")
    for number, answer in enumerate(answers):
        if any(name.startswith("value") and name != _VALUES[question["type"]] for name in answer):
            yield _wrong(f"{path}.answer[{number}].value", f"The answer is a {question['type']}.")
        if "item" in answer:
            yield _wrong(f"{path}.answer[{number}].item", "The Questionnaire has no items inside this one.")


def _wrong(path: str, text: str) -> Issue:
    return Issue("error", "structure", "questionnaire", text, path)
