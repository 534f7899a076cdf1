"""Witnesses as processes."""

from __future__ import annotations

import http.client
import subprocess
from pathlib import Path

import yaml

from compliance_api.ledger import pack
from lachan.config import split_host_port
from lachan.ledger.note import Note
from tests.support.compliance import COMMAND, DEADLINE
from tests.support.ledger import Parties


class WitnessProcess:
    def __init__(self, folder: Path, name: str, parties: Parties) -> None:
        self.name = f"{name}.example/witness"
        self._config = folder / f"{name}.yaml"
        parties.witnesses[name].save(folder / f"{name}.pem")
        settings = {
            "listen": "127.0.0.1:0",
            "name": self.name,
            "key": f"{name}.pem",
            "folder": f"{name}-state",
            "logs": [str(parties.log_key)],
        }
        self._config.write_text(yaml.safe_dump(settings))
        self.key = self.address = ""

    def start(self) -> None:
        command = [*COMMAND, "witness", "--config", str(self._config)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        told = dict(part.split("=", 1) for part in self._process.stdout.readline().split()[1:])
        self.address = told["http"]
        self._place, self.key = split_host_port(self.address), told["key"]

    def stop(self, *, kill: bool = False) -> int:
        if kill:
            self._process.kill()
        else:
            self._process.terminate()
        status = self._process.wait(DEADLINE)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return status

    def ask(self, old: int, proof: list[bytes], signed: Note) -> tuple[int, str]:
        body = f"old {old}\n".encode() + pack.encode_hashes(proof) + b"\n" + signed.encode()
        connection = http.client.HTTPConnection(*self._place, timeout=DEADLINE)
        connection.request("POST", "/add-checkpoint", body)
        response = connection.getresponse()
        told = response.read().decode()
        connection.close()
        return response.status, told
