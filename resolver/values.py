"""Kinds of values that several parts of the edge's configuration share."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from lachan.config import ConfigPath, Settings
from lachan.labels import MessageError, name_labels

Network = Annotated[str, AfterValidator(lambda text: str(ipaddress.ip_network(text)))]
ProfileName = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]
ServerName = Annotated[str, Field(max_length=253, pattern=r"^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$")]
DEFAULT_PROFILE = "default"
"""Everybody's who has no other."""
UrlPath = Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~/-]{0,254}$")]


class ServerTls(Settings):
    """A server's certificate chain and its key, PEM files. They are read again when they change."""

    certificate: ConfigPath
    key: ConfigPath


def spelled(name: str, root: str) -> str:
    """A domain name in lower case without its last dot; `root` says why the root is none.

    Raises:
        ValueError: It is no name, or the root.
    """
    try:
        if not name_labels(name):
            raise ValueError(root)
    except MessageError as error:
        raise ValueError(str(error)) from error
    return name.lower().removesuffix(".")


def with_port(data: object, ports: Mapping[str, int]) -> object:
    """What was written, with the port that its `protocol` stands for where none is."""
    if isinstance(data, dict) and "port" not in data and data.get("protocol") in ports:
        return {**data, "port": ports[data["protocol"]]}
    return data
