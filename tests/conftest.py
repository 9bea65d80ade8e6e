"""Fixtures: a tap over a simulated Twilio, and a real Postgres for those that go all the way."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from sandbox import Twilio, serve
from testing.taps import Tap
from testing.warehouse import started

# A busy machine is no failure. `make test` draws the same examples each time, so what fails there was changed;
# `make test-long` names the profile that draws new ones, and more.
settings.register_profile(
    "short",
    derandomize=True,
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile("long", settings.get_profile("short"), derandomize=False, max_examples=240)
settings.load_profile("short")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """
    A folder of its own for each run.

    Runs of one user share a folder else, and each that begins closes it to the Postgres of those that run.
    """
    if not config.option.basetemp:
        config.option.basetemp = tempfile.mkdtemp(prefix="tap-twilio-")
        config.add_cleanup(lambda: shutil.rmtree(config.option.basetemp, ignore_errors=True))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one file run on one worker, since they may share a server; the standard suite shares none."""
    for item in items:
        if "standard" not in item.path.parts:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


warehouse = pytest.fixture(scope="session")(started)


@pytest.fixture
def tap_of(tmp_path: Path) -> Iterator[Callable[..., Tap]]:
    """Makes a tap for a simulated Twilio, which is served until the test ends."""
    number = itertools.count()
    with ExitStack() as stack:

        def make(twilio: Twilio, **settings: Any) -> Tap:
            return Tap(stack.enter_context(serve(twilio)), tmp_path / f"tap-{next(number)}", **settings)

        yield make
