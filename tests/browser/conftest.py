"""The town that the pages' tests walk through."""

from __future__ import annotations

from tests.web.town import place, town_url

__all__ = ["place", "town_url"]
