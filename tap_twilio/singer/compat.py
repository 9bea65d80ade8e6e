"""
Import singer-python for the rest of the tap.

The import replaces the root logger's handlers and sets its level to INFO, so this module restores both. singer-python's
Counter and Timer are left out, since they would replace them again.
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
