"""A certificate renewed by who holds it, in time and without a gap.

Holds always: renewal begins before the last third of a certificate's life, at a time of each party's own; the one
before counts until its end, so that whatever fails meanwhile costs nothing; the pair on the disk is whole at any
moment: where certificate and key share a file the key is new each time, where they do not it stays, since two files
cannot be replaced in one step.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import grpc
import grpc.aio
from cryptography import x509

from lachan import application, channel, durable, log, tls
from lachan.compliance.v1 import enrolment_service_pb2 as pb
from lachan.compliance.v1.enrolment_service_pb2_grpc import CredentialServiceStub
from lachan.errors import LachanError
from lachan.newcomer import write_pair
from lachan.tls import TlsFiles, TlsMaterial

CALL_SECONDS = 20.0
# In parts of a certificate's life.
EARLIEST, LATEST = 0.5, 0.65
# Between tries, in parts of its life; so many fit into its last third.
RETRY = 0.01
LONGEST_SLEEP = 3600.0
# Who issued it elsewhere renews it elsewhere; it is looked at again in case that changes.
ELSEWHERE_SECONDS = 6 * 3600.0

_log = log.get()


class RenewalError(LachanError):
    """A certificate was not renewed."""


@dataclass(frozen=True)
class Life:
    """From when to when a certificate counts, in seconds since 1970-01-01 UTC."""

    begin: float
    end: float

    def due(self, share: float) -> float:
        """When to renew it, `share` of the way from the earliest time to the latest."""
        return self.begin + (self.end - self.begin) * (EARLIEST + (LATEST - EARLIEST) * share)


def life_of(certificate: bytes) -> Life:
    """Of a certificate (PEM; the first one counts)."""
    leaf = x509.load_pem_x509_certificate(certificate)
    return Life(leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp())


class Renewal:
    """Runs beside whatever uses the certificate; what uses it sees the new one by itself."""

    def __init__(self, target: str, files: TlsFiles, rng: Random, wall: Callable[[], float] = time.time) -> None:
        """Renews `files` at `target`, the service's HOST:PORT for who has a certificate."""
        self._target = target
        self._files = files
        self._share = rng.random()
        self._wall = wall
        self.failures = 0

    @property
    def expires_at(self) -> float:
        """When the certificate on the disk ends, in seconds since 1970; 0 where it cannot be read."""
        try:
            return life_of(tls.load(self._files).certificate).end
        except LachanError:
            return 0.0

    async def run(self) -> None:
        """Renews until cancelled; no failure ends it."""
        while True:
            delay = await self.step()
            await asyncio.sleep(delay)

    async def step(self) -> float:
        """Renews if it is time; seconds until the next look."""
        try:
            material = await asyncio.to_thread(tls.load, self._files)
            life = life_of(material.certificate)
            wait = life.due(self._share) - self._wall()
            if wait > 0:
                return min(wait, LONGEST_SLEEP)
            fresh = await self.renew(material)
        except grpc.aio.AioRpcError as error:
            if error.code() in {grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNIMPLEMENTED}:
                _log.info("the certificate is renewed elsewhere", reason=str(error.details()), ends_at=int(life.end))
                return ELSEWHERE_SECONDS
            return self._failed(f"{error.code().name}: {error.details()}", life)
        except LachanError as error:
            return self._failed(str(error), None)
        _log.info("certificate renewed", ends_at=int(fresh.end))
        return min(max(1.0, fresh.due(self._share) - self._wall()), LONGEST_SLEEP)

    def _failed(self, reason: str, life: Life | None) -> float:
        self.failures += 1
        _log.error("the certificate was not renewed", reason=reason, ends_at=int(life.end) if life else 0)
        return min(max(1.0, (life.end - life.begin) * RETRY), LONGEST_SLEEP) if life else LONGEST_SLEEP / 60

    async def renew(self, material: TlsMaterial) -> Life:
        """Gets a further certificate with the one there is, and puts it into its place.

        Raises:
            RenewalError: What came is not ours.
            AioRpcError: The service refuses, or is away.
        """
        shared = self._files.certificate == self._files.key
        key = application.new_key() if shared else application.load_key(material.key)
        csr = application.request(key, material.identity)
        async with channel.connect(self._target, material) as opened:
            asked = CredentialServiceStub(opened).RenewCertificate(
                pb.RenewCertificateRequest(csr=csr), timeout=CALL_SECONDS
            )
            chain = (await asked).chain
        pem = application.key_pem(key) if shared else material.key
        fresh = TlsMaterial(material.ca, chain, pem, tls.identity_of(chain))
        if fresh.identity != material.identity or not tls.belongs(fresh):
            raise RenewalError("what was issued is not for this party and its key")
        if shared:
            await asyncio.to_thread(write_pair, self._files, chain, pem)
        else:
            await asyncio.to_thread(durable.write, self._files.certificate, [chain], durable.PUBLIC)
        return life_of(chain)
