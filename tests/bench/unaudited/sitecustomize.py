"""Put on a hub's PYTHONPATH by the bench alone: reads leave no audit entry, so that what an entry costs can be measured. The product has no such switch."""

from __future__ import annotations

import sys

if "--multiprocessing-fork" in sys.orig_argv:  # a worker of the hub's, not a start-up
    from hub.audit.trail import Entry, Trail

    async def _nothing(_self: Trail, _entry: Entry) -> None:
        return None

    Trail.note = _nothing  # type: ignore[method-assign]
