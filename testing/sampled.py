"""Samples: `make test` takes some values of a parameter, and `make test-long` the others."""

from __future__ import annotations

from typing import Any

import pytest


def long(*values: Any) -> list[Any]:
    """Values that only `make test-long` takes."""
    return [pytest.param(value, marks=pytest.mark.long) for value in values]
