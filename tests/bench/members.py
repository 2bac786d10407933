"""How long it takes to say which members of a long list have agreed with a centre: `python -m tests.bench.members [COUNT]`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from uuid import UUID

from hub.store import grants, migrate, postgres, residents
from schemas.resident import Resident
from tests.builders import City, a_city, an_id_number


async def _member(city: City, order: int) -> UUID:
    number = an_id_number(order % 900 + 2, f"19{50 + order // 900:02d}0417")
    return (await residents.register(city.hub, Resident(name=f"Member {order}", id_number=number, zone="Asia/Shanghai"), actor="bench"))[0]


async def measured(dsn: str, folder: Path, count: int) -> list[float]:
    """Seconds of the first time and of two more, when half of the members have agreed."""
    async with a_city(dsn, folder) as city:
        center = await city.party("Center", "fitness-center", purposes=("TREAT",))
        members = [await _member(city, order) for order in range(count)]
        for member in members[::2]:
            await city.grant(member, center)
    found = []
    async with a_city(dsn, folder) as city:
        for _ in range(3):
            began = perf_counter()
            assert len(await grants.agreed(city.hub, members, center)) == len(members[::2])
            found.append(perf_counter() - began)
    return found


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory(prefix="kinehub-bench-") as made, postgres.connect(Path(made) / "hub") as dsn:
        migrate.upgrade(dsn)
        times = asyncio.run(measured(dsn, Path(made) / "hub", count))
    sys.stdout.write(f"{count} members: {', '.join(f'{seconds:.3f} s' for seconds in times)}\n")


if __name__ == "__main__":
    main()
