from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from lachan.config import (
    MAX_FILE_BYTES,
    MAX_PROBLEMS_SHOWN,
    MAX_VALUES,
    ConfigError,
    ConfigPath,
    Duration,
    Settings,
    load,
    parse,
)


class Inner(Settings):
    wait: Duration = Field(default=1.0, le=60)
    count: int = 1


class Outer(Settings):
    name: str
    inner: Inner = Inner()
    several: tuple[Inner, ...] = ()
    file: ConfigPath | None = None
    free: dict[str, object] = Field(default_factory=dict)


def problems(text: str) -> list[tuple[str, str, int | None]]:
    with pytest.raises(ConfigError) as refused:
        parse(text, Outer)
    return [(one.path, one.message, one.line) for one in refused.value.problems]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("200ms", 0.2), ("5s", 5.0), ("0.5m", 30.0), ("1 m", 60.0), ("7", 7.0), ("1.5", 1.5)],
)
def test_a_duration_is_in_seconds(written: str, seconds: float) -> None:
    assert parse(f"{{name: a, inner: {{wait: {written}}}}}", Outer).inner.wait == seconds


def test_days_and_hours() -> None:
    class Long(Settings):
        wait: Duration

    assert [parse(f"wait: {written}", Long).wait for written in ("24h", "1d")] == [86_400.0, 86_400.0]


@pytest.mark.parametrize("written", ["5 fortnights", "5", "-5s", "s", "''", "true", "[]", ".nan", ".inf", "5S"])
def test_what_is_no_duration_is_refused(written: str) -> None:
    quoted = f"'{written}'" if written == "5" else written
    [(path, message, line)] = problems(f"name: a\ninner:\n  wait: {quoted}")
    assert (path, line) == ("inner.wait", 3)
    assert "a number with a unit" in message


def test_every_problem_is_told_with_its_path_and_line() -> None:
    text = "nam: a\ninner:\n  wait: 90s\n  count: many\nseveral:\n  - {count: 1}\n  - count: x\n    other: 2\n"
    assert [(path, line) for path, _, line in problems(text)] == [
        ("name", 1),
        ("inner.wait", 3),
        ("inner.count", 4),
        ("several.1.count", 7),
        ("several.1.other", 8),
        ("nam", 1),
    ]


def test_the_message_has_a_line_for_each_problem_up_to_a_bound() -> None:
    unknown = "".join(f"k{number}: 1\n" for number in range(MAX_PROBLEMS_SHOWN + 20))
    with pytest.raises(ConfigError) as refused:
        parse("name: a\n" + unknown, Outer, "edge.yaml")
    shown = str(refused.value).splitlines()
    assert len(shown) == MAX_PROBLEMS_SHOWN
    assert shown[0] == "edge.yaml:2: k0: Extra inputs are not permitted"


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("name: a\nname: b", "'name' is given twice", 2),
        ("name: a\nfree:\n  x: 1\n  x: 2", "'x' is given twice", 4),
        ("name: [a", "expected ',' or ']'", 1),
        ("name: a\n? [x, y]\n: 1", "cannot be read: unhashable", 1),
        ("name: a\nfree: {x: 2020-13-45}", "cannot be read: month must be in 1..12", 2),
        ("name: a\nfree: {x: !!int y}", "cannot be read: invalid literal", 2),
        ("name: a\nfree: {x: !!bool y}", "cannot be read: 'y'", 2),
        ("name: a\nfree: !!python/object:os.system x", "could not determine a constructor", 2),
        ("name: a\nfree: &a {x: *a}", "recursive", 2),
        ("name: a\n---\nname: b", "found another document", 2),
        ("- name", "a mapping of settings is expected", 1),
        ("", "a mapping of settings is expected", 1),
        ("name: \0", "not YAML", None),
        ("[" * 10_000, "not YAML", None),
    ],
)
def test_what_is_no_configuration_is_refused_with_its_line(text: str, message: str, line: int | None) -> None:
    [(path, said, at)] = problems(text)
    assert (path, at) == ("", line)
    assert message in said


def test_an_alias_stands_for_its_value() -> None:
    settings = parse("name: a\ninner: &inner {wait: 2s}\nseveral: [*inner, *inner]", Outer)
    assert [one.wait for one in settings.several] == [2.0, 2.0]


def test_nested_aliases_do_not_grow_beyond_a_bound() -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30))
    assert problems(f"l0: &l0 [x]\n{levels}") == [("", f"more than {MAX_VALUES} values", None)]


def test_settings_cannot_be_changed() -> None:
    settings = parse("name: a", Outer)
    with pytest.raises(ValueError, match="frozen"):
        settings.name = "b"  # type: ignore[misc] # the point of the test


def test_relative_paths_start_from_the_files_folder(tmp_path: Path) -> None:
    file = tmp_path / "outer.yaml"
    file.write_text("name: Lá Chắn\nfile: keys/node.pem")
    settings = load(file, Outer)
    assert (settings.name, settings.file) == ("Lá Chắn", tmp_path / "keys" / "node.pem")
    file.write_text("name: a\nfile: /etc/lachan/node.pem")
    assert load(file, Outer).file == Path("/etc/lachan/node.pem")
    assert parse("name: a\nfile: node.pem", Outer).file == Path("node.pem")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "outer.yaml"
    with pytest.raises(ConfigError, match=f"^{file}: No such file or directory$"):
        load(file, Outer)
    with pytest.raises(ConfigError, match=f"^{tmp_path}: Is a directory$"):
        load(tmp_path, Outer)
    file.write_bytes(b"name: \xff")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 6"):
        load(file, Outer)
    file.write_bytes(b"name: a\n#" + b" " * MAX_FILE_BYTES)
    with pytest.raises(ConfigError, match=f"larger than {MAX_FILE_BYTES} bytes"):
        load(file, Outer)
