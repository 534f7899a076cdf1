"""Messages behind their lengths (RFC 7766, 7858), without a socket: questions in, bytes out, bytes in, answers out.

Holds always: an id stands for one question of a connection; one whose question was given up is not used again before
its answer has come; whoever sends what is no message, or again and again what nobody asked, is not listened to.
"""

from __future__ import annotations

import random

from resolver.upstream.codec import Answers, BrokenError
from resolver.upstream.question import HEADER_BYTES, Question, answers, written

QUESTIONS_MAX = 512
"""On one connection at once."""
LATE_MAX = 512
"""Questions given up whose answers may still come."""
STRAYS_MAX = 32
"""Messages in a row that answer nothing, before a connection is given up."""
QUESTIONS_EVER = 1 << 20


class Framed:
    """One connection."""

    capacity = QUESTIONS_MAX

    def __init__(self, source: random.Random, *, padded: bool) -> None:
        """Ids come from `source`; queries are `padded` where they are encrypted."""
        self._source = source
        self._padded = padded
        self._waiting: dict[int, Question] = {}
        self._late: set[int] = set()
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self.problem = ""
        self.returned: list[Question] = []
        self._strays = 0
        self._left = QUESTIONS_EVER

    @property
    def room(self) -> int:
        """How many more questions may be asked now."""
        if self.ended:
            return 0
        return QUESTIONS_MAX - len(self._waiting)

    @property
    def ended(self) -> bool:
        """No more may be asked, ever: to be closed when nothing waits."""
        return not self._left or len(self._late) >= LATE_MAX

    @property
    def waiting(self) -> tuple[Question, ...]:
        """What is not answered yet, the oldest first."""
        return tuple(self._waiting.values())

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(self, question: Question) -> None:
        """Asks; there must be room."""
        waiting, late = self._waiting, self._late
        ident = self._source.getrandbits(16)
        while ident in waiting or ident in late:
            ident = self._source.getrandbits(16)
        waiting[ident] = question
        self._left -= 1
        query = written(question.section, question.bits, padded=self._padded)
        self._out.append(b"%b%b%b" % ((len(query) + 2).to_bytes(2, "big"), ident.to_bytes(2, "big"), query))

    def forget(self, question: Question) -> None:
        """Nobody waits for a question any more."""
        for ident, one in self._waiting.items():
            if one is question:
                del self._waiting[ident]
                self._late.add(ident)
                return

    def receive(self, data: bytes, found: Answers) -> None:
        """Adds what these bytes answer.

        Raises:
            BrokenError: They are no DNS messages, or too many that nobody asked for.
        """
        if self._buffer:
            self._buffer += data
            at = self._read(self._buffer, found)
            del self._buffer[:at]
        else:
            # Most reads hold whole messages: they need not be copied first.
            at = self._read(data, found)
            self._buffer += data[at:]

    def _read(self, data: bytes | bytearray, found: Answers) -> int:
        at = 0
        end = len(data)
        while end - at >= 2:
            size = data[at] << 8 | data[at + 1]
            after = at + 2 + size
            if size < HEADER_BYTES:
                raise BrokenError("length", f"a message of {size} octets")
            if after > end:
                break
            message = bytes(data[at + 2 : after])
            at = after
            ident = message[0] << 8 | message[1]
            question = self._waiting.get(ident)
            verdict = None if question is None else answers(message, question.section)
            if question is not None and verdict is not None:
                del self._waiting[ident]
                self._strays = 0
                if verdict:
                    found.append((question, message))
                else:
                    self.problem = f"an error of code {message[3] & 0x0F} that repeats no question"
                    found.append((question, None))
            elif ident in self._late:
                self._late.remove(ident)
            else:
                self._strays += 1
                if self._strays > STRAYS_MAX:
                    raise BrokenError("strays", f"{self._strays} messages that nobody asked for")
        return at

    def take(self) -> bytes:
        """What is to be sent."""
        data = b"".join(self._out)
        self._out.clear()
        return data
