"""Generates the stubs under lachan/ from proto/; a test compares them with what is committed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "proto"


def generate(target: Path) -> list[Path]:
    """Writes every stub below `target` and returns their paths.

    Raises:
        subprocess.CalledProcessError: A source does not compile; protoc's message is on standard error.
    """
    sources = sorted(str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.proto"))
    plugins = Path(sys.executable).parent
    subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"--proto_path={SOURCES}",
            f"--python_out={target}",
            f"--grpc_python_out={target}",
            f"--plugin=protoc-gen-mypy={plugins / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={plugins / 'protoc-gen-mypy_grpc'}",
            f"--mypy_out=quiet:{target}",
            f"--mypy_grpc_out=quiet:{target}",
            *sources,
        ],
        check=True,
    )
    return sorted(path for path in target.rglob("*") if path.is_file())


if __name__ == "__main__":
    generate(ROOT)
    for path in sorted((ROOT / "lachan").rglob("*_pb2*")):
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
