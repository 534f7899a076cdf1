"""The candidate that waits for signatures: handed out to those who sign, and their signatures taken.

Holds always: a signature is taken from nobody but the person whose key made it, where it holds over the candidate's
bytes and the top-level targets delegate that key; each is kept with the time at which it came. Whoever signs believes
nothing of what is handed out here: they rebuild it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import Signature
from sqlalchemy import select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tuf.api.metadata import Metadata, Targets

from blocklist_sync.artifact import policy
from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import keys
from blocklist_sync.central.log.approvals import Person
from blocklist_sync.central.log.folder import LogFolder
from blocklist_sync.central.registry.desk import Clock
from blocklist_sync.central.registry.errors import BusyError, InvalidRequestError, NotFoundError, NotPermittedError
from blocklist_sync.central.registry.tables import signatures
from blocklist_sync.central.release import offer
from blocklist_sync.central.release.candidate import ReleaseFolder
from blocklist_sync.central.release.repository import (
    LIST_ROLE,
    MAX_METADATA_BYTES,
    Contents,
    Repository,
    approvers,
    parse,
    role_keys,
)
from lachan import durable

MAX_SIGNATURE_CHARACTERS = 1024
SIGNERS = frozenset({"approver", "custodian"})


@dataclass(frozen=True)
class Candidate:
    """What is to be signed, as it stands."""

    document: bytes
    policy: bytes


@dataclass(frozen=True)
class Signed:
    """A candidate that has reached its threshold."""

    log_length: int
    as_of: int
    at: int
    """When the last signature that it needed came, in seconds since 1970-01-01 UTC."""


def check_signer(person: Person) -> None:
    """Whether somebody is one of those who sign.

    Raises:
        NotPermittedError: They are not.
    """
    if not SIGNERS & set(person.roles):
        raise NotPermittedError(f"{person.id} is neither approver nor custodian")


class SignatureDesk:
    """The release folder beside this server, as far as signers are concerned."""

    def __init__(
        self, engine: AsyncEngine, folder: ReleaseFolder, repository: Repository, log: LogFolder | None, clock: Clock
    ) -> None:
        self._engine = engine
        self._folder = folder
        self._repository = repository
        self._log = log
        self._clock = clock
        self._taking = asyncio.Lock()

    def _published(self) -> tuple[Contents, Targets]:
        """What is published, and who the approvers are."""
        contents = self._repository.opened()
        if contents is None or contents.targets is None:
            raise CentralError("the repository is not founded yet: nobody's signature would count")
        return contents, contents.targets.signed

    def _delegating(self, published: Targets) -> list[Targets]:
        """What names the approvers: what the candidate was built for, where that comes later, and what is published."""
        path = self._folder.delegating_path
        if not path.exists():
            return [published]
        coming: Targets = parse(durable.read(path, MAX_METADATA_BYTES), Targets, path).signed
        return [coming, published] if coming.version > published.version else [published]

    def _waiting(self, contents: Contents) -> Metadata[Targets]:
        """The candidate's document.

        Raises:
            NotFoundError: Nothing waits.
        """
        if not self._folder.document_path.exists():
            raise NotFoundError("no candidate waits for signatures")
        document = self._folder.document()
        if document.signed.version <= (contents.listed.signed.version if contents.listed else 0):
            raise NotFoundError("no candidate waits for signatures: what was built last is published")
        return document

    def candidate(self) -> Candidate:
        """What waits for signatures; blocks.

        Raises:
            NotFoundError: Nothing does.
        """
        document = self._waiting(self._published()[0])
        return Candidate(document.to_bytes(), durable.read(self._folder.policy_path, policy.MAX_BYTES))

    def seed(self) -> bytes:
        """What fingerprint keys are drawn from; blocks.

        Raises:
            CentralError: This server has none to give.
        """
        if self._log is None:
            raise CentralError("this server was not told where the log's folder is: the seed is handed over otherwise")
        return self._log.seed()

    async def take(self, person: Person, digest: bytes, keyid: str, signature: str) -> tuple[int, int]:
        """Adds a signature to the candidate; the same one again changes nothing.

        Args:
            person: Who calls.
            digest: SHA-256 of the bytes that were signed.
            keyid: Of the key that signed.
            signature: In hexadecimal digits.

        Returns:
            How many signatures the candidate has, and how many it needs.

        Raises:
            InvalidRequestError: It is no signature over these bytes.
            NotPermittedError: The key is not the caller's, or not delegated.
            NotFoundError: Another candidate waits, or none.
            BusyError: A build or a publishing is under way.
        """
        if not signature or len(signature) > MAX_SIGNATURE_CHARACTERS:
            raise InvalidRequestError([("signature", f"1 to {MAX_SIGNATURE_CHARACTERS} characters")])
        async with self._taking:
            document, threshold = await asyncio.to_thread(self._add, person, digest, keyid, signature)
        said = offer.read(document)
        row = {
            "signed_sha256": digest,
            "keyid": keyid,
            "person": person.id,
            "signature": document.signatures[keyid].signature,
            "serial": said.serial,
            "log_length": said.folded_length,
            "as_of": said.folded_as_of,
            "threshold": threshold,
            "added_at": self._clock(),
        }
        async with self._engine.begin() as connection:
            await connection.execute(postgresql.insert(signatures).values(row).on_conflict_do_nothing())
        return len(document.signatures), threshold

    def _add(self, person: Person, digest: bytes, keyid: str, signature: str) -> tuple[Metadata[Targets], int]:
        contents, published = self._published()
        try:
            with self._folder.locked():
                delegating = self._delegating(published)
                named = {key.keyid: key for one in delegating for key in approvers(one)}
                key = named.get(keyid)
                if key is None or keys.raw(key) != person.key:
                    raise NotPermittedError(f"{person.id}: not with a key that the top-level targets delegate to them")
                document = self._waiting(contents)
                if hashlib.sha256(document.signed_bytes).digest() != digest:
                    raise NotFoundError("another candidate waits for signatures by now")
                if keyid not in document.signatures:
                    given = Signature(keyid, signature)
                    key.verify_signature(given, document.signed_bytes)
                    document.signatures[keyid] = given
                    self._folder.store_document(document)
        except (UnverifiedSignatureError, VerificationError) as error:
            raise InvalidRequestError([("signature", "does not hold over the candidate")]) from error
        except durable.FileError as error:
            raise BusyError(str(error)) from error
        return document, role_keys(delegating[0], LIST_ROLE)[1]


async def signed(connection: AsyncConnection) -> Sequence[Signed]:
    """Every candidate that has reached its threshold, in the order in which they did."""
    selected = select(
        signatures.c.signed_sha256,
        signatures.c.log_length,
        signatures.c.as_of,
        signatures.c.threshold,
        signatures.c.added_at,
    )
    counts: dict[bytes, int] = {}
    found = []
    for row in await connection.execute(selected.order_by(signatures.c.added_at)):
        counts[row.signed_sha256] = counts.get(row.signed_sha256, 0) + 1
        if counts[row.signed_sha256] == row.threshold:
            found.append(Signed(row.log_length, row.as_of, int(row.added_at.timestamp())))
    return found
