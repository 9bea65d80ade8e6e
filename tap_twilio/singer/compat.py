"""
singer-python, as far as the tap uses it. All else of the tap takes it from here.

Its import takes over the log: it puts a handler of its own in the place of ours, and sets the level to INFO. So it is
imported in one place, which puts the log back. What would do so once more (its Counter and Timer) is not offered.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _log_kept() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


with _log_kept():
    from singer import metadata
    from singer.catalog import Catalog, CatalogEntry
    from singer.messages import ActivateVersionMessage, Message, SchemaMessage, StateMessage
    from singer.metrics import Metric, Point, Tag
    from singer.metrics import log as log_metric
    from singer.schema import Schema
    from singer.utils import should_sync_field

__all__ = [
    "ActivateVersionMessage",
    "Catalog",
    "CatalogEntry",
    "Message",
    "Metric",
    "Point",
    "Schema",
    "SchemaMessage",
    "StateMessage",
    "Tag",
    "log_metric",
    "metadata",
    "should_sync_field",
]
