"""The papers tell the truth: paths, links, commands and forms are what they say.

Holds always: whoever moves a file, renames a verb or drops a make target learns here which paper speaks of it.
"""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import pytest
import typer

from tests.architecture.tree import ROOT, text, tracked

PAPERS = [
    *(PurePosixPath(f"{name}.md") for name in ("README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG", "SECURITY")),
    *sorted(path for path in tracked() if path.is_relative_to("docs/architecture")),
]
RECORDS = sorted(path for path in tracked() if path.is_relative_to("docs/adr"))
DOCUMENTS = [path for path in tracked() if path.suffix == ".md"]

SPAN = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SOURCE = re.compile(r"[\w-]+\.(?:py|pyx|pxd|pyi|h|md|toml|proto|sh)")
VERB = re.compile(r"\b(lachan-(?:resolver|blocklist|compliance|probe|rpz-hits))((?: [a-z][a-z-]*)+)?")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)

# Begins like a folder of ours and is none: made when it is needed, or not a path at all.
MADE = ("build/",)


@cache
def top() -> frozenset[str]:
    return frozenset(path.parts[0] for path in tracked())


@cache
def folders() -> frozenset[str]:
    return frozenset(str(parent) for path in tracked() for parent in path.parents) | {str(path) for path in tracked()}


def code(paper: PurePosixPath) -> Iterator[str]:
    """Code spans, and the lines of code blocks."""
    content = text(paper)
    for block in FENCE.finditer(content):
        yield from block[1].splitlines()
    for span in SPAN.finditer(FENCE.sub("", content)):
        yield span[1]


def named_paths(paper: PurePosixPath) -> Iterator[str]:
    """Words in code that are paths of this tree: they begin with one of its folders, or end as a source does."""
    for piece in code(paper):
        for word in piece.split():
            path = word.rstrip(",;:/")
            first, slash, _ = path.partition("/")
            ours = first in top() and not path.startswith(MADE)
            alone = word == piece and first.isidentifier()
            if (slash and (ours or alone)) or SOURCE.fullmatch(path):
                yield path


@pytest.mark.parametrize("paper", PAPERS, ids=str)
def test_every_path_exists(paper: PurePosixPath) -> None:
    names = {path.name for path in tracked()}
    missing = [path for path in named_paths(paper) if path not in folders() and path not in names]
    assert missing == []


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("paper", DOCUMENTS, ids=str)
def test_every_link_leads_somewhere(paper: PurePosixPath) -> None:
    for target in LINK.findall(FENCE.sub("", text(paper))):
        if target.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / paper.parent / path).resolve() if path else ROOT / paper
        assert found.exists(), f"{paper}: {target}"
        assert str(found.relative_to(ROOT)) in folders(), f"{paper}: {target} is not committed"
        if anchor:
            assert anchor in map(slug, HEADING.findall(found.read_text())), f"{paper}: {target}"


def below(command: Any, prefix: str = "") -> Iterator[str]:
    """The verbs of a command, and those of its groups as `group verb`."""
    context = typer.Context(command)
    for name in command.list_commands(context) if hasattr(command, "list_commands") else ():
        verb = command.get_command(context, name)
        if hasattr(verb, "list_commands"):
            yield from below(verb, f"{prefix}{name} ")
        else:
            yield prefix + name


@cache
def verbs(program: str) -> set[str]:
    """What a command can be told to do."""
    scripts = tomllib.loads(text(PurePosixPath("pyproject.toml")))["project"]["scripts"]
    app: typer.Typer = importlib.import_module(scripts[program].partition(":")[0]).app
    return set(below(typer.main.get_command(app)))


@pytest.mark.parametrize("paper", PAPERS, ids=str)
def test_every_command_exists(paper: PurePosixPath) -> None:
    targets = set(re.findall(r"^([a-z]+):", text(PurePosixPath("Makefile")), re.MULTILINE))
    for piece in code(paper):
        for program, rest in VERB.findall(piece):
            words = rest.split()
            known = verbs(program)
            assert not words or words[0] in known or " ".join(words[:2]) in known, f"{paper}: {program}{rest}"
        if match := re.match(r"make ([a-z]+)", piece):
            assert match[1] in targets, f"{paper}: {piece}"


@pytest.mark.parametrize("record", RECORDS, ids=str)
def test_a_record_has_its_form(record: PurePosixPath) -> None:
    number, _, rest = record.name.partition("-")
    assert re.fullmatch(r"\d{4}", number)
    assert re.fullmatch(r"[a-z0-9-]+\.md", rest)
    title, *_ = text(record).splitlines()
    assert re.fullmatch(rf"# {int(number)}\. \S.*", title)
    parts = re.findall(r"^(?:## |\*\*)(Context|Decision|Turned down)\b", text(record), re.MULTILINE)
    assert parts == ["Context", "Decision", "Turned down"]


def test_records_are_numbered_from_one_each_once() -> None:
    assert [int(record.name[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))


def test_the_change_log_has_a_place_for_what_comes_and_for_this_version() -> None:
    version = tomllib.loads(text(PurePosixPath("pyproject.toml")))["project"]["version"]
    sections = re.findall(r"^## \[([^\]]+)\]", text(PurePosixPath("CHANGELOG.md")), re.MULTILINE)
    assert sections[:2] == ["Unreleased", version]
    assert len(sections) == len(set(sections))
    parts = set(re.findall(r"^### (.*)$", text(PurePosixPath("CHANGELOG.md")), re.MULTILINE))
    assert parts <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_readme_begins_in_vietnamese_and_shows_the_console() -> None:
    readme = text(PurePosixPath("README.md"))
    vietnamese, english, *_ = readme.split("\n---\n")
    assert "doanh nghiệp viễn thông" in vietnamese
    assert "](docs/console.png)" in english
    assert [readme.count(mark) for mark in ("<!-- bench -->", "<!-- /bench -->")] == [1, 1]
