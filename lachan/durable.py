"""Files that are whole or not there, whatever interrupts the writer.

Holds always: after `write` returns, the new content survives a crash; before that, a reader sees the old content or
none. The part file beside it is the only trace of an interruption, and the next write takes it over.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from lachan.errors import LachanError

PRIVATE = 0o600
PUBLIC = 0o644


class FileError(LachanError):
    """A file cannot be read or written."""


def sync_directory(folder: Path) -> None:
    """Makes the names in a folder survive a crash."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def write(path: Path, chunks: Iterable[bytes | bytearray | memoryview], mode: int = PRIVATE) -> None:
    """Writes a file durably: part file, fsync, rename, fsync of the folder.

    One writer at a time; whoever may have rivals holds a `lock`.

    Raises:
        FileError: It cannot be written; what was there before still is.
    """
    part = _part(path)
    try:
        part.unlink(missing_ok=True)
        # Created with its final mode: a confidential file is never readable by others, not even half.
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            os.fchmod(fd, mode)
            with open(fd, "wb", closefd=False) as file:
                file.writelines(chunks)
            os.fsync(fd)
        finally:
            os.close(fd)
        part.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise FileError(f"{path}: {error.strerror}") from error


def write_many(files: Iterable[tuple[Path, bytes]], mode: int = PRIVATE) -> None:
    """Writes many files that mean nothing before all of them are there, and makes them durable together.

    Whoever names them afterwards, in a file of its own, names what is on the disk. A disk takes them in one go, where
    it would have to wait for each of thousands.

    Raises:
        FileError: One cannot be written; others may be there.
    """
    for path, data in files:
        try:
            path.unlink(missing_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            with os.fdopen(fd, "wb") as file:
                os.fchmod(fd, mode)
                file.write(data)
        except OSError as error:
            raise FileError(f"{path}: {error.strerror}") from error
    os.sync()


def link(source: Path, target: Path) -> None:
    """Gives a finished file a second name, durably; a name that is taken is replaced.

    Raises:
        FileError: The file system refuses.
    """
    part = _part(target)
    try:
        part.unlink(missing_ok=True)
        part.hardlink_to(source)
        part.replace(target)
        # Renaming one name of a file over another of the same file does nothing, and leaves both.
        part.unlink(missing_ok=True)
        sync_directory(target.parent)
    except OSError as error:
        raise FileError(f"{target}: {error.strerror}") from error


def make_folder(folder: Path, mode: int = 0o700) -> None:
    """Makes a folder and its parents, durably.

    Raises:
        FileError: It cannot be made.
    """
    try:
        if not folder.is_dir():
            if folder.parent != folder:
                make_folder(folder.parent, mode)
            folder.mkdir(mode=mode, exist_ok=True)
            sync_directory(folder.parent)
    except OSError as error:
        raise FileError(f"{folder}: {error.strerror}") from error


def read(path: Path, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes.

    Raises:
        FileError: It cannot be read, or is larger.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from error
    if len(data) > limit:
        raise FileError(f"{path}: larger than {limit} bytes")
    return data


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Holds a folder for one process; the kernel lets go when that ends, however it ends.

    Raises:
        FileError: Another process holds it.
    """
    try:
        fd = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    except OSError as error:
        raise FileError(f"{folder}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FileError(f"{folder}: another process is working on it") from error
        yield
    finally:
        os.close(fd)
