"""What this process may do to the machine: as little as is left once its sockets are bound.

Holds always: a process that was told to become another user is that user alone, by every id and every group, or it does
not serve; neither it nor what it starts can gain anything back (no_new_privs, no capabilities), and none of them leaves
its memory, with what clients ask, on a disk when it crashes. Called while there is one thread: what the kernel keeps by
thread then holds for all.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import resource
from collections.abc import Sequence
from pathlib import Path

from lachan import log
from resolver.errors import ResolverError

UMASK = 0o077

# Linux's numbers (linux/prctl.h, linux/capability.h).
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_CAPABILITIES = 64

_libc = ctypes.CDLL(None, use_errno=True)


class PrivilegeError(ResolverError):
    """This process cannot become what the configuration asks for."""


def account(name: str) -> pwd.struct_passwd:
    """The user to become, or who this process is already.

    Raises:
        PrivilegeError: There is no such user, it is root, or this process may not become it.
    """
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise PrivilegeError(f"user: there is no user {name!r} on this machine") from None
    if entry.pw_uid == 0:
        raise PrivilegeError("user: root is what is to be given up")
    if os.geteuid() not in (0, entry.pw_uid):
        raise PrivilegeError(f"user: only root can become {name!r}; this process runs as user {os.geteuid()}")
    return entry


def give(paths: Sequence[Path], name: str | None) -> None:
    """Gives folders and files that root has made to the user that will work with them.

    Raises:
        PrivilegeError: As `account`, or one cannot be given.
    """
    if name is None or os.geteuid() != 0:
        return
    entry = account(name)
    for path in paths:
        try:
            os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
        except OSError as error:
            raise PrivilegeError(f"{path}: {error.strerror}") from error


def raise_descriptors(wanted: int) -> None:
    """Allows this process and those it starts as many descriptors as they may need, as far as the machine lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    log.get().warning("fewer descriptors than the configuration may need: raise LimitNOFILE", wanted=wanted, have=hard)


def forbid_cores() -> None:
    """A crash of this process or of one it starts writes no core; systemd-coredump(8) heeds that as well."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def drop(name: str | None) -> None:
    """Becomes the user, without any privilege; as root and without a name, only what follows is forbidden.

    Raises:
        PrivilegeError: As `account`, or the kernel refuses.
    """
    os.umask(UMASK)
    forbid_cores()
    if name is not None:
        entry = account(name)
        if os.geteuid() == 0:
            for capability in range(_CAPABILITIES):
                # Beyond the last one that this kernel knows.
                if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                    break
            os.initgroups(name, entry.pw_gid)
            os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
            os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    elif os.geteuid() == 0:
        log.get().warning("runs as root: set `user` to one of its own")
    if os.geteuid() != 0:
        _give_up_capabilities()
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise PrivilegeError(f"no_new_privs: {os.strerror(ctypes.get_errno())}")


def _give_up_capabilities() -> None:
    """Those that systemd gave for binding, too: sockets are bound by now."""
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if _libc.capset(header, nothing) != 0:
        raise PrivilegeError(f"capabilities: {os.strerror(ctypes.get_errno())}")
