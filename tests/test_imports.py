"""Layout: dependencies point one way, errors stand in one place, and nothing grows too long to be read."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from tap_twilio import errors
from tap_twilio.state.model import Partition
from tap_twilio.streams import BY_NAME
from testing.project import PROJECT

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "tap_twilio"

# What each folder and each module at the top may import, from top to bottom: only what stands below it.
LAYERS = {
    "__main__": "cli",
    "cli": "commands log errors",
    "commands": "run_sync audit run reporting state singer settings files signals streams timestamps log errors",
    "audit": "run reporting extract state singer twilio settings files streams timestamps log errors",
    "run": "reporting extract tables changes state singer twilio settings base_url streams timestamps log errors",
    "reporting": "extract tables state singer twilio streams timestamps log errors",
    "extract": "tables changes state singer twilio streams timestamps log errors",
    "tables": "changes state singer twilio streams timestamps log errors",
    "state": "changes singer twilio streams files timestamps log errors",
    "changes": "singer twilio timestamps",
    "singer": "twilio streams files timestamps log errors",
    "twilio": "streams settings files timestamps errors",
    "settings": "files base_url timestamps errors",
    "run_sync": "files log timestamps errors",
    "files": "errors",
    "base_url": "errors",
    "streams": "timestamps errors",
    "timestamps": "",
    "log": "",
    "signals": "",
    "errors": "",
}
# Who alone may import a library.
LIBRARIES = {
    "singer": {"singer.compat"},
    "requests": {"twilio.client"},
    "urllib3": {"twilio.client"},
    "backoff": {"twilio.retry_pool"},
    "xxhash": {"changes.hashes"},
    "zlib_ng": {"twilio.response"},
    "rich": {"reporting.display"},
    "jsonschema": {"settings", "singer.catalog"},
    "msgspec": {"audit.canonical", "twilio.response"},
    "fsspec": {"run_sync.object_store"},
    "orjson": {
        "audit.twilio_side",
        "extract.child_streams",
        "singer.numbers",
        "singer.output",
        "singer.records",
        "state.store",
    },
}
# The dates of a partition, which one module writes.
BOOKMARKS = {
    "date_updated",
    "lookback_done_at",
    "finished_at",
    "rescanned_at",
    "start_date",
    "imported_bookmark",
    "resend_listed_before",
    "resend_created_before",
    "deferred_before",
}
LONGEST_FILE, LONGEST_FUNCTION = 600, 40  # lines
# Functions that are longer, each with its reason.
LONGER = {"singer.compile._source": "half of it is the example of what it writes"}
# Who may say a stream's name outside streams/, and which; each with its reason.
SAYS = {
    # Users know four settings by the names that they have: call_feedback_source, and feedback_days, _requests and
    # _backfill. What reads one reads an attribute, and a message names the setting: neither is a stream's name here.
    "settings": {"call_feedback"},
    # A member of the summary, with an entry for each account of a stream.
    "reporting.prometheus": {"accounts"},
    # In a STATE it is a member of that name, which holds sets of SIDs.
    "state.store": {"accounts"},
    # An argument of `state forget`.
    "commands.state": {"accounts"},
    # A member of the summary's file, with an entry for each account of a stream; and how many there are.
    "reporting.summary": {"accounts"},
    "audit.report": {"accounts"},
    "commands.summary": {"accounts"},
}


def name_of(path: Path) -> str:
    """A module's name within the package; empty for the package itself."""
    parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {name_of(path): path for path in sorted((ROOT / PACKAGE).rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in MODULES.items()}


def imported(name: str) -> Iterator[tuple[ast.stmt, str]]:
    """Every import of a module, wherever in it, by its full name: late ones and those for types count too."""
    package = [PACKAGE, *name.split(".")] if name else [PACKAGE]
    package = package if MODULES[name].name == "__init__.py" else package[:-1]
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) + 1 - node.level], node.module or ""] if node.level else [node.module or ""]
            yield from ((node, ".".join(filter(None, [*base, alias.name]))) for alias in node.names)


def ours(name: str) -> set[str]:
    """The modules of the tap that a module imports."""
    found = set()
    for _, target in imported(name):
        if target.split(".")[0] == PACKAGE:
            inner = target.removeprefix(PACKAGE).removeprefix(".")
            found.add(inner if inner in MODULES else inner.rpartition(".")[0])
    return found - {name}


def unit(name: str) -> str:
    """The folder, or the module at the top, that a module belongs to."""
    return name.split(".")[0]


def test_the_table_points_downwards() -> None:
    """Each row names only rows below it, so that what it allows has no circle; and it has a row for each module."""
    rows = list(LAYERS)
    for index, (name, allowed) in enumerate(LAYERS.items()):
        assert set(allowed.split()) <= set(rows[index + 1 :]), name
    assert set(rows) == {unit(name) for name in MODULES} - {""}


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_one_way(layer: str) -> None:
    """A module imports its own folder and what the table allows. The package itself holds the version only."""
    allowed = {layer, "", *LAYERS[layer].split()}
    upwards = {
        f"{name} imports {target}"
        for name in MODULES
        if unit(name) == layer
        for target in ours(name)
        if unit(target) not in allowed
    }

    assert not upwards


def test_the_package_itself_imports_nothing() -> None:
    """Whoever imports a part of it imports nothing else."""
    assert not list(imported("")) and not ours("")


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Within a folder neither: a circle is one module in several files."""
    imports = {name: ours(name) - {""} for name in MODULES}
    circles = []
    for name in MODULES:
        seen: set[str] = set()
        todo = [name]
        while todo:
            fresh = imports[todo.pop()] - seen
            seen |= fresh
            todo += fresh
        circles += [name] if name in seen else []

    assert not circles


def test_hardly_anything_imports_late() -> None:
    """
    It imports a command when that is asked for, discovery the settings when there is a config, and progress.py what may
    not be installed. Elsewhere an import within a function hides a dependency.
    """
    late = {
        name
        for name, tree in TREES.items()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }

    assert late == {"cli", "commands.discover", "reporting.progress"}


def test_each_library_is_used_where_it_belongs() -> None:
    """Every library is declared in pyproject.toml, and imported only by those who know how it behaves."""
    theirs: dict[str, set[str]] = {}
    for name in MODULES:
        for _, target in imported(name):
            library = target.split(".")[0]
            if library not in {PACKAGE, *sys.stdlib_module_names}:
                theirs.setdefault(library, set()).add(name)
    optional = PROJECT["optional-dependencies"]
    declared = {re.split("[<>=]", text)[0] for text in [*PROJECT["dependencies"], *optional["progress"]]}
    extra = {re.split("[<>=]", text)[0] for text in optional["state"]}

    assert theirs == LIBRARIES
    assert {name.removesuffix("-python").replace("-", "_") for name in declared} == set(LIBRARIES) - extra


def said(tree: ast.Module) -> set[str]:
    """The streams that a module names: as a whole text, or as a word of one where the name can be no other word."""
    about = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in about
    }
    words = {word for text in texts for word in re.findall(r"\w+", text) if "_" in word}
    return (texts | words) & BY_NAME.keys()


def test_nothing_outside_its_folder_names_a_stream() -> None:
    """Whoever adds a stream, or mends one, has no other place to look at."""
    found = {name: streams for name, tree in TREES.items() if unit(name) != "streams" and (streams := said(tree))}

    assert found == SAYS


@pytest.mark.parametrize(
    "text", ["'calls'", "f'{x} of call_feedback: {y}'", "x['calls']", "f(calls='calls')", "['alerts', 'calls']"]
)
def test_a_name_is_found_wherever_it_stands(text: str) -> None:
    """But not in a docstring, nor in the name of a setting."""
    assert said(ast.parse(f"x = {text}"))
    assert not said(ast.parse(f"def f():\n    {text!r}\n    return 'call_feedback_source'"))


def written(tree: ast.Module) -> Iterator[str]:
    """Yield each bookmark that a module assigns to an object, and each call by which it could do so unseen."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in BOOKMARKS and not isinstance(node.ctx, ast.Load):
            yield node.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("setattr", "delattr"):
            yield node.func.id
        elif isinstance(node, ast.Call) and re.match(r"vars\(.*\)\.update\(", ast.unparse(node)):
            yield "vars().update"


def test_one_module_writes_the_bookmarks() -> None:
    """Others call it, so that the rule that a bookmark never goes back stands in one place."""
    readers_of_states = {name for name in TREES if unit(name) == "state"}  # which copy whole states
    assert {name for name, tree in TREES.items() if list(written(tree))} - readers_of_states == {"tables.bookmarks"}
    assert not [name for name in readers_of_states if BOOKMARKS & set(written(TREES[name]))]
    assert {field.name for field in fields(Partition)} >= BOOKMARKS


@pytest.mark.parametrize(
    "text",
    [
        "x.finished_at = 1",
        "x.y.finished_at: str = 1",
        "a, x.start_date = 1, 2",
        "x.date_updated += 'a'",
        "setattr(x, n, 1)",
    ],
)
def test_an_assignment_is_found_however_it_is_written(text: str) -> None:
    assert list(written(ast.parse(text)))
    assert not list(written(ast.parse("finished_at = x.finished_at == 1; d['finished_at'] = x.start_date")))


def test_the_sandbox_knows_nothing_of_the_tap() -> None:
    """Else both would share one mistake, and no test could find it."""
    for path in (ROOT / "sandbox").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == PACKAGE], path


def test_all_errors_are_one_tree_in_one_file() -> None:
    """Whoever handles one finds the others beside it; each says whose move it is."""
    for name in MODULES:
        if name != "__main__":
            importlib.import_module(f"{PACKAGE}.{name}".rstrip("."))
    found, todo = set(), [BaseException]
    while todo:
        kind = todo.pop()
        found |= {kind} if kind.__module__.split(".")[0] == PACKAGE else set()
        todo += type.__subclasses__(kind)

    assert found == {kind for kind in vars(errors).values() if isinstance(kind, type)}
    for kind in found - {errors.Error}:
        assert issubclass(kind, errors.Error)
        assert re.search(r"\bmust\b|The next sync", kind.__doc__ or ""), kind


def test_nothing_is_too_long_to_be_read() -> None:
    """Neither a file nor a function; one that must be long says why."""
    files = {name: len(path.read_text("utf-8").splitlines()) for name, path in MODULES.items()}
    functions = {
        f"{name}.{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }

    assert not {name: lines for name, lines in files.items() if lines > LONGEST_FILE}
    assert {name for name, lines in functions.items() if lines > LONGEST_FUNCTION} == LONGER.keys()
    assert all(LONGER.values())
