"""Who takes the zones, as data, and each operator's TSIG keys.

Holds always: a key is drawn once, stands in a file of mode 0600, and is shown by nothing here but the files made of it;
an address is believed only together with a key.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from blocklist_sync.central.errors import CentralError
from lachan import durable
from lachan.config import ConfigPath, HostPort, Settings, split_host_port

ALGORITHM = "hmac-sha256"
SECRET_BYTES = 32
MAX_KEY_FILE_BYTES = 1024
MAX_OPERATORS = 4096

_KEY = re.compile(
    r'key "([a-z0-9-]{1,63})" \{ algorithm hmac-sha256; secret "([A-Za-z0-9+/]{43}=)"; \};\n',
)


def _network(text: str) -> str:
    return str(ipaddress.ip_network(text))


def _file_name(text: str) -> str:
    if text.startswith("."):
        raise ValueError("a file that is not hidden is expected")
    return text


def _address(place: str) -> str:
    host, port = split_host_port(place)
    if not port:
        raise ValueError("port 0 is none")
    ipaddress.ip_address(host)
    return place


Name = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,46}[a-z0-9])?$")]
Domain = Annotated[str, Field(pattern=r"^(?:[a-z0-9_-]{1,63}\.){2,}[a-z0-9-]{1,63}$", max_length=200)]
AddressPort = Annotated[HostPort, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]


class ZoneFile(Settings):
    """A zone that is served."""

    origin: Domain
    file: Annotated[str, AfterValidator(_file_name)] = Field(
        pattern=r"^[A-Za-z0-9._-]{1,128}$", description="in `storage`, as `lachan-blocklist rpz` writes it"
    )


class Operator(Settings):
    """Who takes zones, from where, and who is told of new ones."""

    name: Name
    zones: tuple[Domain, ...] = Field(min_length=1, max_length=16)
    addresses: tuple[Network, ...] = Field(min_length=1, max_length=64, description="that ask; nobody else is answered")
    notify: tuple[AddressPort, ...] = Field(
        default=(), max_length=16, description="that are told of a new zone at once"
    )
    keys: tuple[int, ...] = Field(
        default=(1,), min_length=1, max_length=4, description="numbers of the keys that hold; the last one signs"
    )

    @model_validator(mode="after")
    def _numbered(self) -> Self:
        if any(not 1 <= number <= 9999 for number in self.keys) or len(set(self.keys)) != len(self.keys):
            raise ValueError("keys: numbers from 1 to 9999, each once")
        return self

    def key_name(self, number: int) -> str:
        """What a key of the operator is called, on both sides."""
        return f"{self.name}-{number}"


class OperatorsFile(Settings):
    """rpz-operators.yaml."""

    storage: ConfigPath = Field(description="where the zone files are")
    keys: ConfigPath = Field(description="a folder for keys, for the list authority alone")
    zones: tuple[ZoneFile, ...] = Field(min_length=1, max_length=16)
    operators: tuple[Operator, ...] = Field(default=(), max_length=MAX_OPERATORS)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        origins = [zone.origin for zone in self.zones]
        names = [operator.name for operator in self.operators]
        problems = []
        if len(set(origins)) != len(origins) or len(set(names)) != len(names):
            problems.append("a zone's origin and an operator's name stand once")
        problems += [
            f"operators.{index}.zones: there is no zone {zone!r}"
            for index, operator in enumerate(self.operators)
            for zone in operator.zones
            if zone not in origins
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self


@dataclass(frozen=True)
class TsigKey:
    """A secret that an operator and the list authority share."""

    name: str
    secret: str = field(repr=False)

    def text(self) -> str:
        """As BIND reads it, and as it is kept and handed over."""
        return f'key "{self.name}" {{ algorithm {ALGORITHM}; secret "{self.secret}"; }};\n'


def key_path(folder: Path, name: str) -> Path:
    """Where a key is kept."""
    return folder / f"{name}.key"


def obtain(folder: Path, name: str, entropy: Callable[[int], bytes] = os.urandom) -> TsigKey:
    """A key, drawn and kept where there is none yet.

    Raises:
        CentralError: What is kept there is no key, or may be read by others.
        FileError: It cannot be read or kept.
    """
    path = key_path(folder, name)
    if not path.exists():
        drawn = TsigKey(name, base64.b64encode(entropy(SECRET_BYTES)).decode())
        durable.make_folder(folder)
        durable.write(path, [drawn.text().encode()])
    if path.stat().st_mode & 0o077:
        raise CentralError(f"{path}: others may read it: change its mode to 0600, or draw another key")
    match = _KEY.fullmatch(durable.read(path, MAX_KEY_FILE_BYTES).decode("ascii", "replace"))
    if match is None or match[1] != name:
        raise CentralError(f"{path}: not the key {name!r}")
    return TsigKey(name, match[2])
