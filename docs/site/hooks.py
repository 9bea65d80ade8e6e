"""
What the site has besides docs/: the pages at the top of the repository, with links that hold in the site.

In the repository a link leads to a file, as GitHub wants it. In the site, one to a page leads to that page, and one to
any other file, such as catalog.json, is text.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
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
}


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Add the pages, and the pictures of the benchmarks."""
    for source, name in MOVED.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text("utf-8")))
    for picture in (ROOT / "benchmarks").glob("*.svg"):
        files.append(File.generated(config, picture.name, content=picture.read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, files: Any, **_: Any) -> str:
    """Turn each link into one of the site, or into text."""
    name = page.file.src_uri
    source = next((path for path, moved in MOVED.items() if moved == name), f"docs/{name}")
    folder = PurePosixPath(source).parent

    def link(found: re.Match[str]) -> str:
        label, to, anchor = found[1], found[2], found[3] or ""
        if not to or re.match(r"[a-z]+:", to):
            return found[0]
        path = _plain(folder / to)
        name = MOVED.get(path) or re.sub(r"^(docs|benchmarks)/", "", path)
        return f"{label}({name}{anchor})" if files.get_file_from_path(name) else label.strip("![]")

    return re.sub(r"(!?\[[^\]]*\])\(([^)\s#]*)(#[^)\s]*)?\)", link, markdown)


def _plain(path: PurePosixPath) -> str:
    """A path without `..`."""
    parts: list[str] = []
    for part in path.parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts)
