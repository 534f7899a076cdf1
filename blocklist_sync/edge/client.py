"""One round with the repository: the TUF client over HTTPS, within limits. Blocks; the agent gives it a thread.

Holds always: what `fetch` returns was signed by the threshold of every role, is fresh, and was never larger than the
edge allows; whatever TUF or the network raises leaves here as one of this package's two kinds of error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuf.api import exceptions
from tuf.api.metadata import Metadata, TargetFile, Targets
from tuf.ngclient import Updater, UpdaterConfig

from blocklist_sync.edge import verify
from blocklist_sync.edge.errors import Failure, Reason, RefusedError, RoundError
from blocklist_sync.edge.fetcher import Fetcher
from blocklist_sync.edge.settings import SyncSettings
from blocklist_sync.edge.verify import InForce, Limits, Verified
from lachan import durable

RECORDS_TARGET = "list/records.bin"
POLICY_TARGET = "list/policy.json"
MAX_ROOT_ROTATIONS = 32
MAX_DELEGATIONS = 4
TIMESTAMP_BYTES = 16 << 10


@contextmanager
def _translated() -> Iterator[None]:
    """The one boundary where TUF's exceptions become this package's."""
    try:
        yield
    except exceptions.ExpiredMetadataError as error:
        raise RefusedError(Reason.EXPIRED, str(error)) from error
    except exceptions.BadVersionNumberError as error:
        raise RefusedError(Reason.OLDER, str(error)) from error
    except exceptions.RepositoryError as error:
        raise RefusedError(Reason.TAMPERED, str(error)) from error
    except exceptions.DownloadLengthMismatchError as error:
        raise RefusedError(Reason.OVERSIZED, str(error)) from error
    except exceptions.SlowRetrievalError as error:
        raise RoundError(Failure.SLOW, str(error)) from error
    except exceptions.DownloadError as error:
        raise RoundError(Failure.UNREACHABLE, str(error)) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # Signed metadata of a form that TUF itself did not foresee.
        raise RefusedError(Reason.TAMPERED, f"metadata: {error!r:.200}") from error
    except OSError as error:
        raise RoundError(Failure.STORAGE, f"{error.filename or 'temporary file'}: {error.strerror}") from error


class Client:
    """Talks to the repository that `settings` names; keeps TUF's trusted metadata in `folder`."""

    def __init__(self, settings: SyncSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._fetcher: Fetcher | None = None

    def close(self) -> None:
        """Ends a round that is under way in another thread."""
        if self._fetcher is not None:
            self._fetcher.close()

    def fetch(self, in_force: InForce) -> Verified | None:
        """The release offered now, verified; None where it is in force already.

        Raises:
            RefusedError: The release must not be put in force.
            RoundError: The repository could not be asked, or the disk is in the way.
        """
        settings = self._settings
        durable.make_folder(self._folder)
        bootstrap = durable.read(settings.root, settings.max_metadata_bytes)
        fetcher = self._fetcher = Fetcher(settings)
        try:
            with _translated():
                updater = Updater(
                    str(self._folder),
                    f"{settings.repository}/metadata/",
                    str(self._folder),
                    f"{settings.repository}/targets/",
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
                listed = self._target(updater, RECORDS_TARGET)
                bundle = self._target(updater, POLICY_TARGET)
            offered = verify.offer(listed.custom, listed.hashes.get("sha256"), listed.length, bundle.length)
            limits = Limits(settings.max_records_bytes, settings.max_policy_bytes)
            if not verify.admit(offered, in_force, limits):
                return None
            data = self._download(updater, fetcher, listed)
            return verify.check(offered, data, self._download(updater, fetcher, bundle))
        finally:
            self._fetcher = None
            fetcher.release()

    def expires_at(self) -> int:
        """When the approvers' signature on the list ends, by the metadata trusted last; 0 where there is none."""
        try:
            held = Metadata[Targets].from_file(str(self._folder / "list.json"))
        except (exceptions.StorageError, exceptions.RepositoryError):
            return 0
        return int(held.signed.expires.timestamp())

    @staticmethod
    def _target(updater: Updater, path: str) -> TargetFile:
        found = updater.get_targetinfo(path)
        if found is None:
            raise RefusedError(Reason.MALFORMED, f"nothing is signed as {path}")
        return found

    def _download(self, updater: Updater, fetcher: Fetcher, target: TargetFile) -> bytes:
        file = self._folder / "download.part"
        try:
            with _translated():
                updater.download_target(target, str(file))
                return file.read_bytes()
        except RefusedError as error:
            # TUF does not say whether bytes are missing or changed; what the server sent does.
            if error.reason is Reason.TAMPERED and fetcher.received < target.length:
                detail = f"{target.path}: {fetcher.received} bytes where {target.length} are signed"
                raise RefusedError(Reason.TRUNCATED, detail) from error
            raise
        finally:
            file.unlink(missing_ok=True)
