"""The compiled core once more, apart: with sanitizers for addresses and undefined behaviour, and calls to the guide.

Holds always: nothing of it touches the modules that `make` built; what did not change is not built again.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "fuzz"
SOURCES = ROOT / "tests" / "fuzz"
TREE = FOLDER / "tree"
GUIDE = FOLDER / "libguide.so"
PLAIN = FOLDER / "plain"
TOOLS = FOLDER / "site"
"""Where `make fuzz` puts atheris."""

COPIED = ("blocklist_sync", "resolver", "lachan")
LINKED = ("tests", "deploy")
SUFFIXES = {".py", ".pyx", ".pxd", ".h"}
SANITIZED = [
    "-O2",
    "-g1",
    "-fno-omit-frame-pointer",
    "-fno-strict-aliasing",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=undefined",
    "-w",
]
LINKS = ["-fsanitize=address,undefined"]
TARGETS = ("fuzz_targets.pyx", "fuzz_own.pyx", "fuzz_guide.pxd", "guide.h")
BENCHES = ("fuzz_targets", "fuzz_own")
GUIDED = ["-fsanitize-coverage=trace-pc,trace-cmp"]


class BuildError(Exception):
    """The sanitized build cannot be had here."""


def library(name: str) -> str:
    """Where gcc has a library of its own.

    Raises:
        BuildError: There is no gcc, or it has none.
    """
    if shutil.which("gcc") is None:
        raise BuildError("gcc is not installed")
    path = subprocess.run(
        ["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(path).is_absolute():
        raise BuildError(f"gcc has no {name}")
    return str(Path(path).resolve())


def _copy() -> None:
    """Brings the tree up to date; times stay, so that what did not change is not built again."""
    wanted = {
        path.relative_to(ROOT)
        for package in COPIED
        for path in (ROOT / package).rglob("*")
        if path.suffix in SUFFIXES and "__pycache__" not in path.parts
    }
    for path in wanted:
        _bring(ROOT / path, TREE / path)
    for package in COPIED:
        for path in (TREE / package).rglob("*"):
            if path.suffix in SUFFIXES and path.relative_to(TREE) not in wanted:
                path.unlink()
    for name in LINKED:
        if not (TREE / name).exists():
            (TREE / name).symlink_to(ROOT / name)
    for name in TARGETS:
        _bring(SOURCES / name, TREE / name)


def build() -> None:
    """Builds what is out of date.

    Raises:
        BuildError: A compiler or a library is missing, or a source does not compile.
    """
    library("libasan.so")
    TREE.mkdir(parents=True, exist_ok=True)
    _copy()
    _guide()
    _run(TREE, sys.executable, "-c", "from tests.fuzz.build import extensions; extensions()")


def build_plain() -> None:
    """Builds the compiled targets alone, without sanitizers, over the modules that `make` built.

    Raises:
        BuildError: As for `build`.
    """
    library("libgcc.a")
    PLAIN.mkdir(parents=True, exist_ok=True)
    for name in TARGETS:
        _bring(SOURCES / name, PLAIN / name)
    _guide()
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.fuzz.build import targets; targets()"
    _run(PLAIN, sys.executable, "-c", code)


def _bring(source: Path, target: Path) -> None:
    # The time stays: what did not change is not built again.
    if not target.exists() or target.stat().st_mtime != source.stat().st_mtime:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def _guide() -> None:
    flags = ["-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", f"-Wl,-soname,{GUIDE.name}"]
    _run(FOLDER, "gcc", *flags, str(SOURCES / "guide.c"), "-o", str(GUIDE))


def _run(folder: Path, *command: str) -> None:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BuildError(f"{command[0]}: {(result.stdout + result.stderr)[-4000:]}")


def extensions() -> None:
    """Builds the sanitized modules in place; the current folder is the tree."""
    sources = sorted([*Path("blocklist_sync").rglob("*.pyx"), *Path("resolver").rglob("*.pyx")])
    _setup({".".join(source.with_suffix("").parts): source for source in sources}, SANITIZED + GUIDED, LINKS)
    # What it cimports inline is compiled into it: the reader of names guides from there.
    _setup({"fuzz_own": Path("fuzz_own.pyx")}, SANITIZED + GUIDED, LINKS)
    _setup({"fuzz_targets": Path("fuzz_targets.pyx")}, SANITIZED, LINKS)


def targets() -> None:
    """Builds the targets over plain modules in place; the current folder is theirs."""
    _setup({name: Path(f"{name}.pyx") for name in BENCHES}, ["-O1", "-w"], [])


def _setup(sources: Mapping[str, Path], compiling: list[str], linking: list[str]) -> None:
    from Cython.Build import cythonize
    from setuptools import Extension, setup

    guide = [f"-L{FOLDER}", "-lguide", f"-Wl,-rpath,{FOLDER}"] if sources.keys() <= set(BENCHES) else []
    modules = [
        Extension(
            name,
            [str(source)],
            extra_compile_args=compiling,
            extra_link_args=linking + guide,
            include_dirs=[".", str(ROOT)],
        )
        for name, source in sources.items()
    ]
    setup(
        script_args=["-q", "build_ext", "--inplace", "-j2"],
        ext_modules=cythonize(
            modules,
            build_dir="cython",
            quiet=True,
            include_path=[".", str(ROOT)],
            compiler_directives={
                "language_level": "3",
                "boundscheck": False,
                "wraparound": False,
                "cdivision": True,
                "initializedcheck": False,
                "embedsignature": True,
            },
        ),
    )
