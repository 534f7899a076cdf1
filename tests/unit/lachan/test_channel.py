from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import trustme

from compliance_api.identity import pki
from lachan import channel
from lachan.tls import Identity, Role, TlsError, TlsFiles, TlsMaterial, load

DEADLINE = 10.0
NODE = "lachan://a/node/edge-1"
SERVICE = "lachan://so/service/compliance"


class Authority:
    """A certificate authority of one test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        pki.init(folder / "ca", datetime.now(UTC))

    def material(self, uri: str, *addresses: str) -> TlsMaterial:
        out = self._folder / secrets.token_hex(4)
        pki.issue(self._folder / "ca", out, uri, datetime.now(UTC), dns=[], addresses=addresses, days=1)
        return load(TlsFiles(ca=out / "ca.pem", certificate=out / "certificate.pem", key=out / "key.pem"))

    def nobody(self) -> TlsMaterial:
        """A certificate that holds, and names no party of this system."""
        pems = [(self._folder / "ca" / name).read_bytes() for name in ("ca.pem", "ca-key.pem")]
        leaf = trustme.CA.from_pem(*pems).issue_cert("edge.example")
        chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
        return TlsMaterial(pems[0], chain, leaf.private_key_pem.bytes(), Identity("a", Role.NODE, "edge-1"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"))


async def who(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    try:
        return str(channel.caller(context)).encode() + request
    except TlsError as error:
        return f"refused: {error}".encode()


@pytest.fixture
async def served(authority: Authority) -> AsyncIterator[str]:
    """A service that says who calls, and its address."""
    service = channel.server()
    handler = grpc.unary_unary_rpc_method_handler(who)
    service.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Echo", {"Who": handler})])
    port = channel.bind(service, "127.0.0.1:0", authority.material(SERVICE, "127.0.0.1"))
    await service.start()
    yield f"127.0.0.1:{port}"
    await service.stop(None)


async def call(connection: grpc.aio.Channel, request: bytes = b"") -> bytes:
    async with connection:
        method: Any = connection.unary_unary("/test.Echo/Who")
        answer: bytes = await method(request, timeout=DEADLINE)
        return answer


async def test_each_end_knows_the_other_by_its_certificate(served: str, authority: Authority) -> None:
    assert await call(channel.connect(served, authority.material(NODE))) == NODE.encode()


async def test_a_certificate_that_names_nobody_of_this_system_is_told(served: str, authority: Authority) -> None:
    assert (await call(channel.connect(served, authority.nobody()))).startswith(b"refused: the certificate names 0")


async def test_a_stranger_is_not_answered(served: str, authority: Authority, stranger: Authority) -> None:
    ca = authority.material(NODE).ca
    foreign = replace(stranger.material(NODE), ca=ca)
    nobody = grpc.aio.secure_channel(served, grpc.ssl_channel_credentials(ca))
    for connection in (channel.connect(served, foreign), nobody, grpc.aio.insecure_channel(served)):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(connection)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_server_of_another_authority_or_address_is_not_believed(
    authority: Authority, stranger: Authority
) -> None:
    for material in (stranger.material(SERVICE, "127.0.0.1"), authority.material(SERVICE, "127.0.0.2")):
        service = channel.server()
        port = channel.bind(service, "127.0.0.1:0", material)
        await service.start()
        try:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(channel.connect(f"127.0.0.1:{port}", authority.material(NODE)))
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        finally:
            await service.stop(None)


async def test_a_message_has_a_bound(served: str, authority: Authority) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call(channel.connect(served, authority.material(NODE)), b"x" * (channel.MAX_MESSAGE_BYTES + 1))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_no_proxy_of_the_environment_stands_between(
    served: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert await call(channel.connect(served, authority.material(NODE))) == NODE.encode()


async def test_an_address_in_use_is_told(served: str, authority: Authority) -> None:
    material = authority.material(SERVICE, "127.0.0.1")
    for address in (served, "192.0.2.1:0", "nonsense"):
        with pytest.raises(TlsError, match=f"^{address}: cannot be bound"):
            channel.bind(channel.server(), address, material)


async def test_a_key_that_is_none_is_told(authority: Authority) -> None:
    material = replace(authority.material(NODE, "127.0.0.1"), key=b"no key")
    with pytest.raises(TlsError, match="cannot be bound"):
        channel.bind(channel.server(), "127.0.0.1:0", material)


async def test_a_server_that_asks_for_no_certificate_still_shows_its_own(authority: Authority) -> None:
    material = authority.material(SERVICE, "127.0.0.1")
    service = channel.server()
    handler = grpc.unary_unary_rpc_method_handler(who)
    service.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Echo", {"Who": handler})])
    port = channel.bind_open(service, "127.0.0.1:0", lambda: material)
    await service.start()
    try:
        credentials = grpc.ssl_channel_credentials(authority.material(NODE).ca)
        answer = await call(grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials))
        assert answer == b"refused: the caller showed no certificate"
    finally:
        await service.stop(None)
