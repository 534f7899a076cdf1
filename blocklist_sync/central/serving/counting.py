"""Counts every gRPC call by its method and how it ended, whichever service answers it.

Holds always: a call is counted once, when it is over; methods that no service has are counted under no name of theirs.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import grpc.aio

from blocklist_sync.central.serving.metrics import Metrics

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


def _code(context: Any, *, raised: bool) -> str:
    code = context.code()
    if isinstance(code, grpc.StatusCode):
        return code.name
    # Nothing was set: it was answered, or it ended because the caller left.
    return grpc.StatusCode.CANCELLED.name if raised else grpc.StatusCode.OK.name


class CallCounter(grpc.aio.ServerInterceptor):
    """Stands in front of every service of a server."""

    def __init__(self, metrics: Metrics) -> None:
        self._calls = metrics.calls

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """The handler, counted."""
        handler = await continuation(handler_call_details)
        if handler is None:
            self._calls.labels("", "", grpc.StatusCode.UNIMPLEMENTED.name).inc()
            return None
        service, _, method = str(handler_call_details.method).strip("/").rpartition("/")
        return self._counted(handler, service, method)

    def _counted(self, handler: Any, service: str, method: str) -> Handler:
        def count(context: Any, *, raised: bool) -> None:
            self._calls.labels(service, method, _code(context, raised=raised)).inc()

        def once(work: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
            async def counted(request: Any, context: Any) -> Any:
                raised = True
                try:
                    answer = await work(request, context)
                    raised = False
                    return answer
                finally:
                    count(context, raised=raised)

            return counted

        def parts(work: Callable[[Any, Any], AsyncIterator[Any]]) -> Callable[[Any, Any], AsyncIterator[Any]]:
            async def counted(request: Any, context: Any) -> AsyncIterator[Any]:
                raised = True
                try:
                    async for part in work(request, context):
                        yield part
                    raised = False
                finally:
                    count(context, raised=raised)

            return counted

        both = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.response_streaming:
            # A handler that writes by itself is a coroutine, one that yields is a generator.
            work = handler.stream_stream if handler.request_streaming else handler.unary_stream
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            return make(once(work) if inspect.iscoroutinefunction(work) else parts(work), **both)
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(once(handler.stream_unary), **both)
        return grpc.unary_unary_rpc_method_handler(once(handler.unary_unary), **both)
