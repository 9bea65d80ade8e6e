"""
What the site has besides docs/: other pages of the repository, the files that pages link to, and links that hold.

In the repository a link leads to a file, as GitHub wants it. The site has a copy of each such file; the copy is text
(`.txt`), so that a browser shows it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent.parent
# By its path in the repository: what a page is called in the site.
MOVED = {
    "README.md": "index.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "benchmarks/README.md": "benchmarks.md",
    "examples/README.md": "examples/index.md",
    "examples/dagster.md": "examples/dagster.md",
    "examples/dbt/README.md": "examples/dbt.md",
}
LINK = re.compile(r"(!?\[[^\]]*\])\(([^)\s#]*)(#[^)\s]*)?\)")
SHOWN = (".md", ".json", ".svg")  # what a browser shows under its own name


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Add the pages outside docs/, the files that pages link to, and the style of tables."""
    for source in {*MOVED, *(f"docs/{name}" for name in files.src_uris if name.endswith(".md"))}:
        for path in (linked(source, found[2]) for found in LINK.finditer((ROOT / source).read_text("utf-8"))):
            if path and (ROOT / path).is_file() and not files.get_file_from_path(name_of(path)):
                files.append(File.generated(config, name_of(path), content=(ROOT / path).read_text("utf-8")))
    for source, name in MOVED.items():
        if not files.get_file_from_path(name):
            files.append(File.generated(config, name, content=(ROOT / source).read_text("utf-8")))
    files.append(File.generated(config, "tables.css", content=(ROOT / "docs/site/tables.css").read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn each link to a file of the repository into one to the site's."""
    name = page.file.src_uri

    def link(found: re.Match[str]) -> str:
        path = linked(source_of(name), found[2])
        if not path:
            return found[0]
        return f"{found[1]}({posixpath.relpath(name_of(path), posixpath.dirname(name) or '.')}{found[3] or ''})"

    return LINK.sub(link, markdown)


def linked(source: str, link: str) -> str:
    """Return the path in the repository that a page's link leads to; nothing for an address or an anchor."""
    is_file = link and not re.match(r"[a-z]+:", link)
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link)) if is_file else ""


def source_of(name: str) -> str:
    """Return the path in the repository of a page of the site."""
    return next((path for path, moved in MOVED.items() if moved == name), f"docs/{name}")


def name_of(path: str) -> str:
    """Return what a file of the repository is called in the site."""
    if path in MOVED or path.startswith("docs/"):
        return MOVED.get(path, path.removeprefix("docs/"))
    return path if path.endswith(SHOWN) else f"{path}.txt"
