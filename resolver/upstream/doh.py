"""What DNS over HTTPS means to a client (RFC 8484), whichever version of HTTP carries it.

Holds always: a query's id is 0, so that what is between may keep the answer (RFC 8484 4.1); nothing is said of us but
what is asked; a response is an answer by its status, type and size alone, is never followed elsewhere, and is as old as
whoever kept it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from resolver.upstream.question import MESSAGE_MAX, Question, aged, answers, written

MEDIA_TYPE = b"application/dns-message"
HEAD_BYTES_MAX = 16 << 10
HTTPS_PORT = 443

_OK = b"200"
_NUMBER = re.compile(rb"[0-9]{1,10}")


@dataclass(frozen=True)
class Resource:
    """What is asked: the `:authority` and the `:path` of every request."""

    authority: bytes
    path: bytes

    @classmethod
    def at(cls, host: str, port: int, path: str) -> Resource:
        """From the server's name, or its address where it has none."""
        literal = f"[{host}]" if ":" in host else host
        return cls((literal if port == HTTPS_PORT else f"{literal}:{port}").encode(), path.encode())


def body(question: Question) -> bytes:
    """What is posted."""
    return b"\0\0" + written(question.section, question.bits, padded=True)


class Response:
    """The response to one question, as it comes."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.problem = ""
        """Why it is no answer."""
        self._body = bytearray()
        self._age = 0
        self._headed = False

    def head(self, status: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Takes the head; False where no answer will come of it."""
        fields: Mapping[bytes, bytes] = dict(headers)
        length = fields.get(b"content-length")
        if status != _OK:
            self.problem = f"HTTP status {status[:3].decode('ascii', 'replace')}"
        elif fields.get(b"content-type", b"").partition(b";")[0].strip().lower() != MEDIA_TYPE:
            self.problem = "a content of another type than DNS messages have"
        elif length is not None and (not _NUMBER.fullmatch(length) or int(length) > MESSAGE_MAX):
            self.problem = "a content longer than DNS messages are"
        if self.problem:
            return False
        age = fields.get(b"age", b"0")
        # RFC 9111 5.1: an age that is no number is none.
        self._age = int(age) if _NUMBER.fullmatch(age) else 0
        self._headed = True
        return True

    def more(self, data: bytes) -> bool:
        """Takes a part of the body; False where it is longer than a message can be."""
        self._body += data
        if len(self._body) > MESSAGE_MAX:
            self.problem = "a content longer than DNS messages are"
        return not self.problem

    def answer(self) -> bytes | None:
        """The answer, once all of it has come; None where it is none."""
        message = bytes(self._body)
        if self._headed and message[:2] == b"\0\0" and answers(message, self.question.section):
            fresh = aged(message, self._age) if self._age else message
            if fresh is not None:
                return fresh
        self.problem = "a content that does not answer the question"
        return None
