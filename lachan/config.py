"""Reads a YAML file into a settings model, or says everything that is wrong with it at once.

Holds always: an unknown key, a key given twice, or a file beyond its limit is an error; every error carries the path of
its value and the line it stands on; nothing is half loaded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo

from lachan.errors import LachanError

MAX_FILE_BYTES = 1 << 20
MAX_VALUES = 1 << 19
"""More than fit a file, unless aliases multiply them."""
MAX_PROBLEMS_SHOWN = 50

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Settings(BaseModel):
    """A part of a configuration: frozen, and refusing what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a configuration."""

    path: str
    message: str
    line: int | None = None


class ConfigError(LachanError):
    """A configuration cannot be used; `problems` holds every reason found."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.source = source
        self.problems = problems
        shown = [
            f"{source}{f':{p.line}' if p.line else ''}: {f'{p.path}: ' if p.path else ''}{p.message}"
            for p in problems[:MAX_PROBLEMS_SHOWN]
        ]
        super().__init__("\n".join(shown))


def _seconds(value: object) -> object:
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", value.strip())
        if not match:
            raise ValueError("a duration is a number with a unit: 200ms, 5s, 10m, 24h, 7d")
        return float(match[1]) * _UNITS[match[2]]
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ValueError("a duration is a number with a unit: 200ms, 5s, 10m, 24h, 7d")


def _beside_the_file(value: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base")
    return Path(base) / value if base is not None else value


def _host_port(value: str) -> str:
    match = re.fullmatch(r"(?:\[[0-9a-fA-F:.]+\]|[^\s:\[\]]{1,253}):([0-9]{1,5})", value)
    if not match or int(match[1]) > 65535:
        raise ValueError("HOST:PORT is expected, an IPv6 address in brackets")
    return value


def split_host_port(place: str) -> tuple[str, int]:
    """Host and port of a `HostPort`, the host without brackets."""
    host, _, port = place.rpartition(":")
    return host.strip("[]"), int(port)


HostPort = Annotated[str, AfterValidator(_host_port)]
"""`HOST:PORT`, an IPv6 address in brackets."""

Duration = Annotated[float, BeforeValidator(_seconds)]
"""Seconds; written as `200ms`, `5s`, `10m`, `24h` or `7d`."""

ConfigPath = Annotated[Path, AfterValidator(_beside_the_file)]
"""A path; a relative one is taken from the folder of the configuration file."""

Model = TypeVar("Model", bound=BaseModel)


class _StrictLoader(yaml.SafeLoader):
    """YAML without keys given twice; what a value is refused for has a line."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, KeyError) as error:
            # What PyYAML lets through of a 13th month, an unhashable key, a tag that does not fit.
            message = f"cannot be read: {error}"
            raise yaml.constructor.ConstructorError(None, None, message, node.start_mark) from error


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"{key!r} is given twice", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _lines(node: yaml.Node | None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    if node is None:
        return
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _lines(value, (*path, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, (*path, str(index)))


def _line_of(lines: dict[tuple[str, ...], int], place: tuple[str, ...]) -> int | None:
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place)


def parse(text: str, model: type[Model], source: str = "configuration", base: Path | None = None) -> Model:
    """Builds `model` from YAML text.

    Args:
        text: The YAML document.
        model: What to build.
        source: What error messages call the text, a file's path as a rule.
        base: The folder that relative `ConfigPath`s start from.

    Raises:
        ConfigError: With every problem found.
    """
    try:
        # The loader is a SafeLoader that refuses more.
        raw = yaml.load(text, Loader=_StrictLoader)  # noqa: S506
        places = list(islice(_lines(yaml.compose(text, Loader=_StrictLoader)), MAX_VALUES + 1))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        message = str(error.problem or "not YAML")
        raise ConfigError(source, [Problem("", message, mark.line + 1 if mark else None)]) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(source, [Problem("", f"not YAML: {error}")]) from error
    if len(places) > MAX_VALUES:
        raise ConfigError(source, [Problem("", f"more than {MAX_VALUES} values")])
    if not isinstance(raw, dict):
        raise ConfigError(source, [Problem("", "a mapping of settings is expected", 1)])
    lines = dict(places)
    try:
        return model.model_validate(raw, context={"base": base})
    except ValidationError as error:
        problems = []
        for item in error.errors(include_url=False, include_input=False):
            place = tuple(str(part) for part in item["loc"])
            message = item["msg"].removeprefix("Value error, ")
            problems.append(Problem(".".join(place), message, _line_of(lines, place)))
        raise ConfigError(source, problems) from error


def load(path: Path, model: type[Model]) -> Model:
    """Builds `model` from a YAML file of at most `MAX_FILE_BYTES`.

    Raises:
        ConfigError: The file cannot be read, or with every problem found in it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ConfigError(str(path), [Problem("", f"larger than {MAX_FILE_BYTES} bytes")])
        text = data.decode()
    except OSError as error:
        raise ConfigError(str(path), [Problem("", error.strerror or str(error))]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), [Problem("", f"not UTF-8 at byte {error.start}")]) from error
    return parse(text, model, str(path), path.absolute().parent)
