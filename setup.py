"""Only what Cython needs; everything else stands in pyproject.toml."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

FLAGS = ["-O3", "-fno-strict-aliasing", "-Wall", "-Wno-unused-function", "-Wno-sign-compare"]
CORES = os.cpu_count() or 1
SOURCES = sorted([*Path("blocklist_sync").rglob("*.pyx"), *Path("resolver").rglob("*.pyx")])

setup(
    ext_modules=cythonize(
        [
            Extension(".".join(source.with_suffix("").parts), [str(source)], extra_compile_args=FLAGS)
            for source in SOURCES
        ],
        build_dir="build/cython",
        nthreads=CORES,
        compiler_directives={
            "language_level": "3",
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "embedsignature": True,
        },
    ),
    options={"build_ext": {"parallel": CORES}},
)
