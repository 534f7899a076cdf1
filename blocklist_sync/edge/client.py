"""One round with the repositories: the TUF client over HTTPS, within limits. Blocks; the agent gives it a thread.

Holds always: what `fetch` returns was signed by the threshold of every role, is fresh, and was never larger than the
edge allows; whatever TUF or the network raises leaves here as one of this package's two kinds of error; a repository
that is at fault is left for the next one, which trusts nothing that the one before said and TUF did not verify.
"""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tuf.api import exceptions
from tuf.api.metadata import Metadata, Snapshot, TargetFile, Targets
from tuf.ngclient import Updater, UpdaterConfig

from blocklist_sync.artifact import manifest, policy
from blocklist_sync.edge import pins, rings, verify
from blocklist_sync.edge.delta import MANIFEST_TARGET, Deltas
from blocklist_sync.edge.download import Parts, Wanted, download
from blocklist_sync.edge.errors import Failure, Reason, RefusedError, RoundError, SyncError
from blocklist_sync.edge.fetcher import Fetcher
from blocklist_sync.edge.hosts import Hosts
from blocklist_sync.edge.mirrors import Mirrors
from blocklist_sync.edge.settings import SyncSettings
from blocklist_sync.edge.verify import InForce, Limits, Offer, Verified
from lachan import durable, log

RECORDS_TARGET = "list/records.bin"
POLICY_TARGET = "list/policy.json"
PUBLISHED_AT = "x-lachan-published-at"
"""In the snapshot, beside the list's version: approvers sign before anybody knows when that will be."""
MAX_ROOT_ROTATIONS = 32
MAX_DELEGATIONS = 4
TIMESTAMP_BYTES = 16 << 10

_DIGEST = re.compile(r"[0-9a-f]{64}")


@contextmanager
def _translated() -> Iterator[None]:
    """The one boundary where TUF's exceptions become this package's."""
    try:
        yield
    except exceptions.ExpiredMetadataError as error:
        raise RefusedError(Reason.EXPIRED, str(error), of_mirror=True) from error
    except exceptions.BadVersionNumberError as error:
        raise RefusedError(Reason.OLDER, str(error), of_mirror=True) from error
    except exceptions.RepositoryError as error:
        raise RefusedError(Reason.TAMPERED, str(error), of_mirror=True) from error
    except exceptions.DownloadLengthMismatchError as error:
        raise RefusedError(Reason.OVERSIZED, str(error), of_mirror=True) from error
    except exceptions.StorageError as error:
        raise RoundError(Failure.STORAGE, str(error)) from error
    except exceptions.SlowRetrievalError as error:
        raise RoundError(Failure.SLOW, str(error)) from error
    except exceptions.DownloadError as error:
        raise RoundError(Failure.UNREACHABLE, str(error)) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # Signed metadata of a form that TUF itself did not foresee.
        raise RefusedError(Reason.TAMPERED, f"metadata: {error!r:.200}", of_mirror=True) from error
    except OSError as error:
        raise RoundError(Failure.STORAGE, f"{error.filename or 'temporary file'}: {error.strerror}") from error


@dataclass(frozen=True)
class Found:
    """What a round found: the release offered, and the same verified where it is not in force already."""

    offer: Offer
    verified: Verified | None
    due_in: float = 0.0
    """Seconds until this edge's ring may take it: until then it is not downloaded."""


class Client:
    """Talks to the repositories that `settings` names; keeps TUF's trusted metadata in `folder`.

    Args:
        settings: Where they are, whom to trust, and the limits.
        folder: TUF's, made when it is first needed.
        hosts: Where hosts are.
        rng: Which repository comes first, and for how long a bad one is left alone.
    """

    def __init__(self, settings: SyncSettings, folder: Path, hosts: Hosts, rng: random.Random) -> None:
        self._settings = settings
        self._folder = folder
        self._hosts = hosts
        self._parts = Parts(folder / "parts")
        self._fetcher: Fetcher | None = None
        self._closed = False
        self._seen = (0, 0.0)
        self.deltas = Deltas()
        self.received = 0
        """Bytes of files that came since the start."""
        self.mirrors = Mirrors(settings.repositories, rng)

    def close(self) -> None:
        """Ends a round that is under way, from another thread; there will be no other."""
        self._closed = True
        if self._fetcher is not None:
            self._fetcher.close()

    def fetch(self, in_force: InForce, wanted: int = 0) -> Found:
        """The release offered now, verified where it is not in force already.

        Args:
            in_force: What must not be replaced by anything older.
            wanted: A serial that was announced: a repository without it is behind, and the next may not be.

        Raises:
            RefusedError: The release must not be put in force.
            RoundError: No repository could be asked, or the disk is in the way.
        """
        deadline = time.monotonic() + self._settings.round_timeout
        order = self.mirrors.order(time.monotonic())
        best: Found | None = None
        trouble: list[SyncError] = []
        for place, mirror in enumerate(order):
            now = time.monotonic()
            # One that is slow must leave time for those after it.
            share = (deadline - now) / (len(order) - place)
            try:
                found = self._ask(mirror.url, in_force, now + share)
            except SyncError as error:
                if not error.of_mirror or self._closed:
                    raise
                if mirror.bad(_word(error), time.monotonic()) and len(order) > 1:
                    log.get().warning("mirror left for the next one", mirror=mirror.url, reason=str(error))
                trouble.append(error)
                continue
            mirror.well(time.monotonic())
            if best is None or found.offer.serial > best.offer.serial:
                best = found
            if found.offer.serial >= wanted:
                break
        if best is not None:
            return best
        # What is refused weighs more than what could not be asked.
        raise min(trouble, key=lambda error: not isinstance(error, RefusedError))

    def _ask(self, url: str, in_force: InForce, deadline: float) -> Found:
        """A round with one repository.

        Raises:
            RefusedError, RoundError: As `fetch`.
        """
        settings = self._settings
        durable.make_folder(self._folder)
        bootstrap = durable.read(settings.root, settings.max_metadata_bytes)
        fetcher = self._fetcher = Fetcher(settings, self._hosts, url, deadline)
        try:
            with _translated():
                updater = Updater(
                    str(self._folder),
                    f"{url}/metadata/",
                    str(self._folder),
                    f"{url}/targets/",
                    fetcher,
                    UpdaterConfig(
                        max_root_rotations=MAX_ROOT_ROTATIONS,
                        max_delegations=MAX_DELEGATIONS,
                        root_max_length=settings.max_metadata_bytes,
                        timestamp_max_length=TIMESTAMP_BYTES,
                        snapshot_max_length=settings.max_metadata_bytes,
                        targets_max_length=settings.max_metadata_bytes,
                    ),
                    bootstrap=bootstrap,
                )
                updater.refresh()
                self._keep_pin()
                listed = self._target(updater, RECORDS_TARGET)
                bundle = self._target(updater, POLICY_TARGET)
                published_at = self._published_at()
            offered = verify.offer(
                listed.custom, listed.hashes.get("sha256"), listed.length, bundle.length, published_at
            )
            limits = Limits(settings.max_records_bytes, settings.max_policy_bytes)
            if not verify.admit(offered, in_force, limits):
                return Found(offered, None)
            if due_in := self._due_in(offered, in_force):
                return Found(offered, None, due_in)
            data = self.deltas.records(
                offered,
                in_force,
                lambda: self._manifest(url, fetcher, updater),
                lambda name, length: self._delta(url, fetcher, name, length),
            )
            if data is None:
                data = self._download(url, fetcher, listed)
            held = _held_policy(bundle, in_force)
            return Found(offered, verify.check(offered, data, held or self._download(url, fetcher, bundle)))
        finally:
            self.received += fetcher.received_all
            self._fetcher = None
            fetcher.release()

    def _keep_pin(self) -> None:
        """Takes over whom to believe about the ledger, whatever becomes of the list that is offered."""
        held = Metadata[Targets].from_file(str(self._folder / "targets.json"))
        try:
            pins.keep(self._folder.parent / pins.FILE, held.signed)
        except durable.FileError as error:
            raise RoundError(Failure.STORAGE, str(error)) from error

    def expires_at(self) -> int:
        """When the approvers' signature on the list ends, by the metadata trusted last; 0 where there is none."""
        try:
            held = Metadata[Targets].from_file(str(self._folder / "list.json"))
        except (exceptions.StorageError, exceptions.RepositoryError):
            return 0
        return int(held.signed.expires.timestamp())

    def _due_in(self, offered: Offer, in_force: InForce) -> float:
        """Seconds until this edge's ring may take a release, by the snapshot that was verified last."""
        with _translated():
            held = Metadata[Snapshot].from_file(str(self._folder / "snapshot.json"))
            wanted = rings.parse(held.signed.meta["list.json"].unrecognized_fields.get(rings.FIELD))
        now = time.monotonic()
        if self._seen[0] != offered.serial:
            self._seen = (offered.serial, now)
        if not in_force.serial:
            # Without any list, an edge filters nothing: that is worse than a release that is still tried.
            return 0.0
        return rings.remaining(
            wanted,
            self._settings.ring,
            published_at=offered.published_at,
            urgent=offered.urgent,
            now=time.time(),
            waited=now - self._seen[1],
        )

    def _published_at(self) -> object:
        """When the release was published, by the snapshot that was verified last."""
        held = Metadata[Snapshot].from_file(str(self._folder / "snapshot.json"))
        return held.signed.meta["list.json"].unrecognized_fields.get(PUBLISHED_AT)

    @staticmethod
    def _target(updater: Updater, path: str) -> TargetFile:
        found = updater.get_targetinfo(path)
        if found is None:
            raise RefusedError(Reason.MALFORMED, f"nothing is signed as {path}")
        return found

    def _manifest(self, url: str, fetcher: Fetcher, updater: Updater) -> bytes | None:
        with _translated():
            found = updater.get_targetinfo(MANIFEST_TARGET)
        if found is not None and found.length > manifest.MAX_BYTES:
            raise RefusedError(Reason.OVERSIZED, f"{MANIFEST_TARGET}: {found.length} bytes are signed")
        return self._download(url, fetcher, found) if found is not None else None

    @staticmethod
    def _delta(url: str, fetcher: Fetcher, name: str, length: int) -> bytes:
        folder = MANIFEST_TARGET.rpartition("/")[0]
        with _translated():
            data: bytes = fetcher.download_bytes(f"{url}/targets/{folder}/{name}", length)
        return data

    def _download(self, url: str, fetcher: Fetcher, target: TargetFile) -> bytes:
        """A target's bytes, as they are signed."""
        digest = target.hashes.get("sha256", "")
        if not _DIGEST.fullmatch(digest):
            raise RefusedError(Reason.MALFORMED, f"{target.path} is signed without a SHA-256")
        folder, _, name = target.path.rpartition("/")
        wanted = Wanted(f"{folder}/{digest}.{name}" if folder else f"{digest}.{name}", target.length, digest)
        with _translated():
            return download(fetcher, url, wanted, self._parts)


def _held_policy(target: TargetFile, in_force: InForce) -> bytes | None:
    """The policy bundle in force, if it is the one that is signed: most releases carry the same."""
    if in_force.policy is None or target.length > policy.MAX_BYTES:
        return None
    try:
        data = durable.read(in_force.policy, policy.MAX_BYTES)
    except durable.FileError:
        return None
    return data if hashlib.sha256(data).hexdigest() == target.hashes.get("sha256") else None


def _word(error: SyncError) -> str:
    if isinstance(error, RefusedError):
        return error.reason.value
    return error.failure.value if isinstance(error, RoundError) else "other"
