"""Suites of Great Expectations from the standard's rules, and a source against its own last 30 days.

The only module that imports Great Expectations: seconds and two hundred megabytes, so it is imported in the worker's process
alone. Everything stays in memory: an ephemeral context without Data Docs sites, no analytics, BOOLEAN_ONLY results.
"""

from __future__ import annotations

import logging
import math
import os
import statistics
import warnings
from collections.abc import Iterator, Sequence
from functools import reduce
from operator import and_
from typing import Any

import msgspec

os.environ["GX_ANALYTICS_ENABLED"] = "false"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import great_expectations as gx
    import pandas as pd
    from great_expectations import expectations as gxe
    from great_expectations.core.expectation_suite import ExpectationSuite
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults, ProgressBarsConfig
    from great_expectations.expectations.row_conditions import Column

from hub.quality.frames import FLAGGED, Frame, judged
from hub.quality.reports import Expected
from schemas.quality import Rule

ENGINE = f"great_expectations {gx.__version__}"
LEAST_NOW, LEAST_BEFORE = 20, 50
"""Records below which a source is not compared with its past."""
SHIFT, ERRORS = 0.5, 4.0
"""A mean may move by half a standard deviation, or four standard errors where those are more."""
LEAST_SHARE = 0.05
SHARES = (FLAGGED, "refused", "waiting")
"""Figures that are 0 or 1: more of them than before is worse, fewer never is."""
_NOT_COMPARED = frozenset({"age", "female", "lead_s", "twins", "gap_days", "values", "ordinal", *SHARES})

logging.getLogger("great_expectations").setLevel(logging.CRITICAL)  # its warnings may quote what they found


def judge(now: dict[str, Frame], before: dict[str, Frame]) -> list[Expected]:
    """Every expectation about every kind of record in a batch."""
    context = _context()
    return [result for kind, frame in now.items() for result in _judged(context, frame, before.get(kind))]


def _context() -> Any:
    """A context that keeps nothing: the usual one makes a folder for Data Docs."""
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False), data_docs_sites={}, analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
    )  # fmt: skip
    return gx.get_context(mode="ephemeral", project_config=config)


def _judged(context: Any, frame: Frame, before: Frame | None) -> list[Expected]:
    expected: list[tuple[Any, Expected]] = [(expectation(rule), _counted(rule, frame)) for rule in frame.rules]
    if before is not None and len(frame.rows) >= LEAST_NOW and len(before.rows) >= LEAST_BEFORE:
        expected += _drift(frame, before)
    if not expected:
        return []
    suite = ExpectationSuite(name=frame.kind)
    for number, (wanted, _) in enumerate(expected):
        wanted.meta = {"place": number}
        suite.add_expectation(wanted)
    met = _validated(context, frame, suite)
    return [msgspec.structs.replace(result, success=success) for (_, result), success in zip(expected, met, strict=True)]


def _validated(context: Any, frame: Frame, suite: ExpectationSuite) -> list[bool]:
    """Whether each expectation of a suite was met, in its order."""
    table = pd.DataFrame({name: [row.get(name, math.nan) for row in frame.rows] for name in frame.columns}, dtype="float64")
    source = context.data_sources.add_pandas(frame.kind)
    batch = source.add_dataframe_asset(frame.kind).add_batch_definition_whole_dataframe(frame.kind).get_batch({"dataframe": table})
    found = batch.validate(suite, result_format="BOOLEAN_ONLY")
    met = {result.expectation_config.meta["place"]: bool(result.success) for result in found.results}
    return [met[number] for number in range(len(suite.expectations))]


def _counted(rule: Rule, frame: Frame) -> Expected:
    failed, of = judged(rule, frame.rows)
    return Expected(frame.kind, rule.code, rule.dimension, False, failed, of)


def expectation(rule: Rule) -> Any:
    """A rule of the standard as an expectation of Great Expectations."""
    if rule.form == "present":
        return gxe.ExpectColumnValuesToNotBeNull(column=rule.a, mostly=rule.share)
    if rule.form in ("at-most", "below"):
        return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A=rule.b, column_B=rule.a, or_equal=rule.form == "at-most", ignore_row_if="either_value_is_missing"
        )
    whom = [
        *([Column("age") >= rule.age_from] if rule.age_from is not None else []),
        *([Column("age") < rule.age_to] if rule.age_to is not None else []),
        *([Column("female") == float(rule.sex == "female")] if rule.sex else []),
    ]
    about: dict[str, Any] = {"row_condition": reduce(and_, whom)} if whom else {}
    return gxe.ExpectColumnValuesToBeBetween(column=rule.a, min_value=rule.low, max_value=rule.high, mostly=rule.share, **about)


def _drift(frame: Frame, before: Frame) -> Iterator[tuple[Any, Expected]]:
    """Mean, median and the share of flagged records and of rows not taken, against the same source's own 30 days before."""
    for name in before.columns:
        now, then = _values(frame, name), _values(before, name)
        if name in _NOT_COMPARED or len(now) < LEAST_NOW or len(then) < LEAST_BEFORE:
            continue
        slack = statistics.pstdev(then) * max(SHIFT, ERRORS / math.sqrt(len(now)))
        mean, median = statistics.fmean(then), statistics.median(then)
        yield gxe.ExpectColumnMeanToBeBetween(column=name, min_value=mean - slack, max_value=mean + slack), _drifted(frame, f"mean:{name}", now)
        yield gxe.ExpectColumnMedianToBeBetween(column=name, min_value=median - slack, max_value=median + slack), _drifted(frame, f"median:{name}", now)
    for name in SHARES:
        now, then = _values(frame, name), _values(before, name)
        if now and then:
            usual = statistics.fmean(then)
            most = usual + max(LEAST_SHARE, ERRORS * math.sqrt(max(usual * (1 - usual), 0.01) / len(now)))
            yield gxe.ExpectColumnMeanToBeBetween(column=name, max_value=min(most, 1.0)), _drifted(frame, f"share:{name}", now)


def _drifted(frame: Frame, rule: str, now: Sequence[float]) -> Expected:
    return Expected(frame.kind, rule, "stability", False, 0, len(now))


def _values(frame: Frame, name: str) -> list[float]:
    return [row[name] for row in frame.rows if name in row]
