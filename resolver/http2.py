"""What both ends of HTTP/2 have in common: frames that are bounded before they are there, and a debt.

Holds always: what the other end says beside requests and answers (resets, pings, settings, priorities, empty frames) is
paid for by these, and a connection may be in debt by `DEBT_MAX` only (CVE-2023-44487 and its kin).
"""

from __future__ import annotations

import h2.config
import h2.connection
from h2.settings import SettingCodes, Settings

# What we announce by not saying otherwise (RFC 9113 6.5.2).
FRAME_BYTES_MAX = 16384
WINDOW_BYTES = 65535
"""What a connection begins with (RFC 9113 6.9.2)."""
CLOSED_STREAMS_KEPT = 1024
DEBT_MAX = 1000
PAID_BY_A_REQUEST = 8
COST_OF_A_RESET = 16


class Http2Connection(h2.connection.H2Connection):
    """h2's connection, which must not remember every stream that it ever had."""

    MAX_CLOSED_STREAMS = CLOSED_STREAMS_KEPT

    def __init__(
        self, *, client: bool, announced: tuple[SettingCodes, int], head: int, stream_window: int, window: int
    ) -> None:
        """A connection that has announced itself.

        Args:
            client: This is the end that asks.
            announced: The setting that this end alone has to say.
            head: The most bytes of a head that are taken.
            stream_window: The most bytes of a body.
            window: The most bytes of all bodies on their way.
        """
        # What we send is written by ourselves.
        config = h2.config.H2Configuration(
            client_side=client, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        super().__init__(config)
        code, value = announced
        self.local_settings = Settings(
            client=client,
            initial_values={
                code: value,
                SettingCodes.INITIAL_WINDOW_SIZE: stream_window,
                SettingCodes.MAX_HEADER_LIST_SIZE: head,
            },
        )
        self.initiate_connection()
        self.increment_flow_control_window(window - WINDOW_BYTES)


class Frames:
    """Walks along frames as they arrive: h2 looks at a frame when all of it is there, which may be 16 MB.

    Holds always: no more of a frame than `FRAME_BYTES_MAX` is ever kept, nor of a head than its bound.
    """

    _HEAD = 9
    _HEADERS = 1
    _CONTINUATION = 9
    _END_HEADERS = 4

    def __init__(self, preface: int, block: int) -> None:
        """`preface` bytes come before the first frame; a head is at most `block` bytes, over all its frames."""
        self._head = bytearray()
        self._left = preface
        self._block_most = block
        self._in_headers = False
        self._block = 0
        self.begun_at: float | None = None
        """When the frame, or the head of a request, began that has not come to its end."""

    def walk(self, data: bytes, now: float) -> bool:
        """Takes note of what arrived; False where a frame or a head is larger than allowed."""
        at = 0
        end = len(data)
        while at < end:
            if self._left:
                step = min(self._left, end - at)
                self._left -= step
            else:
                if not self._head and not self._in_headers:
                    self.begun_at = now
                step = min(self._HEAD - len(self._head), end - at)
                self._head += data[at : at + step]
                if len(self._head) == self._HEAD and not self._begin():
                    return False
            at += step
        if not self._left and not self._head and not self._in_headers:
            self.begun_at = None
        elif self.begun_at is None:
            self.begun_at = now
        return True

    def _begin(self) -> bool:
        self._left = int.from_bytes(self._head[:3], "big")
        kind, flags = self._head[3], self._head[4]
        if kind in (self._HEADERS, self._CONTINUATION):
            self._in_headers = not flags & self._END_HEADERS
            self._block = self._left + (self._block if kind == self._CONTINUATION else 0)
        self._head.clear()
        return self._left <= FRAME_BYTES_MAX and self._block <= self._block_most
