"""What the documents say is what the code does: tables, links and examples."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tap_twilio import __version__, errors
from tap_twilio.settings import SCHEMA
from tap_twilio.singer.catalog import Selected, discover, grades_of_evidence, selected_streams
from tap_twilio.streams import STREAMS

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"),
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
    *("evidence/README.md", "examples/README.md", "examples/dagster.md", "examples/dbt/README.md", "targets/README.md"),
)
TEXTS = {name: (ROOT / name).read_text("utf-8") for name in PAGES}

Cells = list[str]


# Tables ---------------------------------------------------------------------------------------------------------------


def table(marker: str) -> list[Cells]:
    """The rows of the table that follows a comment in one of the pages, without its two lines of heading."""
    (text,) = (text for text in TEXTS.values() if f"<!-- {marker}: tests/" in text)
    lines = text[text.index(f"<!-- {marker}:") :].split("\n\n")[0].splitlines()[3:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def code(value: Any) -> str:
    """A value as a table shows it; nothing where there is none."""
    text = value if isinstance(value, str) else json.dumps(value)
    return "" if value is None else f"`{text.replace(__version__, 'VERSION')}`"


def test_pages_show_the_version_that_the_command_prints() -> None:
    """The first line of a log in a page or picture, and the first heading of the changelog."""
    texts = {**TEXTS, "docs/display.svg": (ROOT / "docs" / "display.svg").read_text("utf-8").replace("&#160;", " ")}
    shown = {name: set(re.findall(r"tap-twilio (\S+) reads", text)) for name, text in texts.items()}
    shown["CHANGELOG.md"] = set(re.findall(r"^## \[(.+)\]", TEXTS["CHANGELOG.md"], re.MULTILINE)[:1])

    assert {name: versions for name, versions in shown.items() if versions - {__version__}} == {}
    assert shown["docs/display.svg"] and shown["docs/production.md"] and shown["CHANGELOG.md"]


def test_every_setting_is_listed_as_it_is() -> None:
    """Name, default, environment variable and meaning of each setting, in order, and no other."""
    assert table("settings") == [
        [code(name), code(about.get("default")), code(about.get("env")), about["description"]]
        for name, about in SCHEMA["properties"].items()
    ]


def test_the_readme_counts_the_streams() -> None:
    """The streams that can be selected besides the default ones."""
    further = sum(not stream.selected_by_default for stream in STREAMS)
    assert f"[{further} further streams](docs/streams.md)" in TEXTS["README.md"]


def test_the_readme_counts_the_streams_of_each_grade_of_evidence() -> None:
    """The best evidence of each stream, as discovery names it."""
    grades = Counter(grades_of_evidence().values())
    text = " ".join(TEXTS["README.md"].split())
    for words, grade in (
        ("live reports", "live"),
        ("recorded answers", "recorded"),
        ("published examples", "published example"),
    ):
        assert f" {words} for {grades[grade]}," in text
    assert f" documents only for {grades['documents only']}. " in text
    assert sum(grades.values()) == len(STREAMS)


def test_each_command_of_the_readme_is_in_a_page() -> None:
    """So that whoever reads on finds the same command again, and what it does."""
    commands = re.findall(r"(?ms)^```(?:sh|crontab)\n(.+?)^```$", TEXTS["README.md"])
    lines = {line for name, text in TEXTS.items() if name.startswith("docs/") for line in text.splitlines()}
    assert [line for block in commands for line in block.splitlines() if line not in lines] == []


def test_every_exit_code_is_listed() -> None:
    """Each number that the command can end with: those of the errors, of argparse, of a run and of the signals."""
    codes = [number for row in table("exit codes") for number in row[0].split(", ")]
    failures = {error.exit_code for error in vars(errors).values() if hasattr(error, "exit_code")}
    stopped = {128 + signal.SIGINT, 128 + signal.SIGTERM}

    assert codes == [str(code) for code in sorted({0, 2, 3, 6} | failures | stopped)]


# Links and examples ---------------------------------------------------------------------------------------------------


def headings(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text("utf-8"))
    titles = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    """To a file that is there, and to a heading that the file has."""
    page = ROOT / name
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.is_file(), link
        assert not anchor or anchor in headings(target), link


def test_the_site_has_every_page() -> None:
    """`make docs` builds it; a page that is not in its navigation would not be found."""
    nav = (ROOT / "mkdocs.yml").read_text("utf-8").split("nav:\n")[1]
    assert [path.name for path in (ROOT / "docs").glob("*.md") if f": {path.name}\n" not in nav] == []


def choice(example: str) -> dict[str, Selected]:
    """What is selected when the messages of a new catalog have this metadata in place of their own."""
    item = json.loads(example)
    catalog = discover()
    (entry,) = (entry for entry in catalog["streams"] if entry["tap_stream_id"] == "messages")
    entry["metadata"] = [one for one in entry["metadata"] if one["breadcrumb"] != item["breadcrumb"]] + [item]
    return {one.stream.name: one for one in selected_streams(catalog)}


def test_the_catalog_examples_do_what_the_page_says() -> None:
    """They leave out a stream, leave out a property, and read a stream as a full table, in this order."""
    stream_out, property_out, full = re.findall(r'(?m)^\{"breadcrumb.+\}$', TEXTS["docs/settings.md"])

    assert choice(stream_out).keys() == {stream.name for stream in STREAMS if stream.selected_by_default} - {"messages"}
    assert "body" not in choice(property_out)["messages"].properties
    assert "date_sent" in choice(property_out)["messages"].properties
    assert choice(full)["messages"].full_table


def test_the_sample_config_holds_settings_that_exist() -> None:
    """And so does every example of a config in the pages."""
    found = re.findall(r"(?ms)^```json\n(\{\n.+?\n\})$", "\n".join(TEXTS.values()))
    samples = [json.loads(text) for text in found]
    configs = [sample for sample in samples if "account_sid" in sample]
    configs.append(json.loads((ROOT / "sample_config.json").read_text("utf-8")))

    assert len(configs) == 3
    for config in configs:
        assert config.keys() <= SCHEMA["properties"].keys()
