"""A18, by the clock: whether an id that is hidden takes longer than one that never was. `python -m tests.leaks.timing [N]`.

Reads of the two kinds alternate; Welch's t over the middle nine tenths of each. Above 4.5 the two are told apart (the bar of dudect,
Reparaz, Balasch, Verbauwhede 2017), and the program exits 1.
"""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from hub.store import migrate, postgres
from tests.databases import a_database
from tests.leaks.attacks import no_consent
from tests.leaks.exits import Ask, every, read, search, unknown
from tests.leaks.town import Stage

BAR = 4.5
WAYS = {"read": (read, 5000), "search": (search, 200), "everything": (every, 800)}


def welch(one: Sequence[float], other: Sequence[float]) -> float:
    first, second = ([*sorted(values)][: int(len(values) * 0.9)] for values in (one, other))
    spread = statistics.variance(first) / len(first) + statistics.variance(second) / len(second)
    return (statistics.fmean(first) - statistics.fmean(second)) / math.sqrt(spread)


def main() -> int:
    worst = 0.0
    with postgres.connect(Path(tempfile.mkdtemp(prefix="kinehub-timing-"))) as dsn, a_database(dsn, "timing") as url:
        migrate.upgrade(url)
        stage = Stage(url, Path(tempfile.mkdtemp(prefix="kinehub-timing-")))
        leaks = stage.leaks
        case = stage.run(no_consent(leaks))
        for name, (way, rounds) in WAYS.items():
            hidden = Ask(leaks, leaks.denied, case.hidden, case.ids[:1], case)
            absent = Ask(leaks, leaks.denied, case.absent, unknown(case.ids[:1], case.absent), case)
            took: tuple[list[float], list[float]] = ([], [])
            for number in range(rounds):
                for side in (0, 1) if number % 2 else (1, 0):
                    began = time.perf_counter()
                    stage.run(way((hidden, absent)[side]))
                    took[side].append(time.perf_counter() - began)
            t = welch(*took)
            worst = max(worst, abs(t))
            means = [statistics.fmean(values) * 1e3 for values in took]
            sys.stdout.write(f"{name:12} {rounds:6} rounds  hidden {means[0]:.3f} ms  absent {means[1]:.3f} ms  t = {t:+.2f}\n")
            sys.stdout.flush()
        stage.close()
    return 1 if worst > BAR else 0


if __name__ == "__main__":
    sys.exit(main())
