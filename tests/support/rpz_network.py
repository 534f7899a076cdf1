"""A list authority's Knot DNS and operators' resolvers behind it: real processes, as `deploy/` configures them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rdatatype

DEPLOY = Path(__file__).parents[2] / "deploy"
ORIGIN = "lachan.rpz.so.example"
ADDRESS = "127.0.0.1"


def free_port() -> int:
    """A port that is free for UDP and TCP, by the kernel's word."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
            stream.bind((ADDRESS, 0))
            port: int = stream.getsockname()[1]
            with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
                datagram.bind((ADDRESS, port))
                return port


def example(path: str, changes: Mapping[str, str]) -> str:
    """A configuration of `deploy/` with places of this machine; each of them must be named there."""
    text = (DEPLOY / path).read_text()
    for old, new in changes.items():
        assert old in text, f"{path}: {old}"
        text = text.replace(old, new)
    return text


class Daemon:
    """A program that runs until the test ends."""

    def __init__(self, name: str, folder: Path, port: int) -> None:
        self.name = name
        self.folder = folder / name
        self.folder.mkdir()
        self.port = port
        self.log_path = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, name: str, text: str) -> Path:
        """A file of its own."""
        path = self.folder / name
        path.write_text(text)
        return path

    def start(self, *command: str) -> None:
        """Runs it."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)

    def stop(self) -> None:
        """Ends it."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    @property
    def log(self) -> str:
        """What it said."""
        return self.log_path.read_text(errors="replace")

    def ask(self, name: str, qtype: str = "A", *, do: bool = False) -> dns.message.Message | None:
        """Its answer; None where there is none."""
        query = dns.message.make_query(name, qtype, want_dnssec=do, use_edns=0)
        with contextlib.suppress(dns.exception.Timeout, OSError):
            return dns.query.udp(query, ADDRESS, 0.5, self.port)
        return None

    def says(self, name: str, qtype: str = "A", *, do: bool = False) -> str:
        """In a word: what follows for a name."""
        answer = self.ask(name, qtype, do=do)
        if answer is None:
            return "silence"
        rcode = dns.rcode.to_text(answer.rcode())
        return rcode if rcode != "NOERROR" else "answered" if answer.answer else "NODATA"

    async def until_says(self, wanted: Mapping[str, str], seconds: float = 30.0) -> None:
        """Waits until it says so, of each name, DO=1 or not."""
        said: dict[tuple[str, bool], str] = {}

        def holds() -> bool:
            said.update({(name, do): self.says(name, do=do) for name in wanted for do in (False, True)})
            return all(said[name, do] == word for name, word in wanted.items() for do in (False, True))

        try:
            async with asyncio.timeout(seconds):
                # In a thread: the upstream that it asks meanwhile runs in this loop.
                while not await asyncio.to_thread(holds):  # noqa: ASYNC110 # nobody signals it
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{self.name}: {said}, not {wanted}\n{self.log[-4000:]}") from None


def knot_authority(folder: Path, operators_conf: Path) -> Daemon:
    """Knot at the list authority, not started."""
    daemon = Daemon("knot", folder, free_port())
    (daemon.folder / "db").mkdir()
    changes = {
        "/run/knot": str(daemon.folder),
        "    user: knot:knot\n": "",
        "192.0.2.1@53, 2001:db8::1@53": f"{ADDRESS}@{daemon.port}",
        "target: syslog": "target: stderr",
        "/var/lib/knot": str(daemon.folder / "db"),
        "journal-db-max-size: 4G": "journal-db-max-size: 64M",
        "/etc/knot/lachan-operators.conf": str(operators_conf),
    }
    daemon.write("knot.conf", example("knot/knot.conf", changes))
    return daemon


def relay(folder: Path, port: int, authority: int, key: str, unbound: int) -> Daemon:
    """Knot at an operator whose resolver speaks no TSIG, not started."""
    daemon = Daemon("relay", folder, port)
    (daemon.folder / "db").mkdir()
    changes = {
        "/run/knot": str(daemon.folder),
        "    user: knot:knot\n": "",
        "192.0.2.53@5353, 127.0.0.1@5353": f"{ADDRESS}@{daemon.port}",
        "target: syslog": "target: stderr",
        "address: 192.0.2.1@53": f"address: {ADDRESS}@{authority}",
        "address: 192.0.2.1\n": f"address: {ADDRESS}\n",
        "address: 127.0.0.1@53\n": f"address: {ADDRESS}@{unbound}\n",
        "c3ludGhldGljLXNlY3JldC1vZi1hbi1leGFtcGxlLi4=": key,
        "/var/lib/knot": str(daemon.folder / "db"),
    }
    daemon.write("knot.conf", example("knot/relay.conf", changes))
    return daemon


UNBOUND = """
server:
    interface: 127.0.0.1@{port}
    directory: "{folder}"
    username: ""
    chroot: ""
    pidfile: "{folder}/pid"
    do-daemonize: no
    use-syslog: no
    do-ip6: no
    do-not-query-localhost: no
    num-threads: 1
remote-control:
    control-enable: no
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@{upstream}
include: "{folder}/lachan-rpz.conf"
"""


def unbound(folder: Path, port: int, primary: int, upstream: int) -> Daemon:
    """Unbound at an operator, not started; `primary` is the relay's port."""
    daemon = Daemon("unbound", folder, port)
    changes = {
        # Nothing here is signed by anybody whom Unbound trusts.
        "respip validator iterator": "respip iterator",
        "/var/log/unbound/unbound.log": str(daemon.folder / "unbound.log"),
        "127.0.0.1@5353": f"{ADDRESS}@{primary}",
        "/var/lib/unbound/lachan.rpz.zone": str(daemon.folder / "lachan.zone"),
    }
    daemon.write("lachan-rpz.conf", example("unbound/lachan-rpz.conf", changes))
    daemon.write("unbound.conf", UNBOUND.format(folder=daemon.folder, port=port, upstream=upstream))
    return daemon


NAMED = """
options {{
	directory "{folder}";
	pid-file "{folder}/pid";
	session-keyfile "{folder}/session.key";
	listen-on port {port} {{ 127.0.0.1; }};
	listen-on-v6 {{ none; }};
	dnssec-validation no;
	forward only;
	forwarders {{ 127.0.0.1 port {upstream}; }};
	include "{folder}/lachan-rpz-options.conf";
}};
controls {{ }};
include "{folder}/lachan-rpz.conf";
"""


def bind(folder: Path, port: int, key: Path, primary: str, upstream: int, extra: str = "") -> Daemon:
    """BIND at an operator, not started; `primary` is what stands for the authority's place and key."""
    daemon = Daemon("bind", folder, port)
    changes = {
        "/etc/bind/isp-a-1.key": str(key),
        'primaries { 192.0.2.1 port 53 key "isp-a-1"; }': f"primaries {{ {primary}; }}",
        "/var/log/named/rpz.log": str(daemon.folder / "rpz.log"),
    }
    daemon.write("lachan-rpz.conf", example("bind/lachan-rpz.conf", changes) + extra)
    daemon.write("lachan-rpz-options.conf", example("bind/lachan-rpz-options.conf", {}))
    daemon.write("named.conf", NAMED.format(folder=daemon.folder, port=port, upstream=upstream))
    return daemon


RECURSOR = """
config-dir={folder}
socket-dir={folder}
local-address=127.0.0.1
local-port={port}
daemon=no
threads=1
dnssec=off
dont-query=
forward-zones-recurse=.=127.0.0.1:{upstream}
allow-notify-for=lachan.rpz.so.example
allow-notify-from=127.0.0.1
lua-config-file={folder}/rpz.lua
lua-dns-script={folder}/hits.lua
security-poll-suffix=
disable-syslog=yes
disable-packetcache=yes
"""


def recursor(folder: Path, port: int, primary: int, key: str, upstream: int) -> Daemon:
    """PowerDNS Recursor at an operator, not started."""
    daemon = Daemon("recursor", folder, port)
    changes = {
        "192.0.2.1:53": f"{ADDRESS}:{primary}",
        "c3ludGhldGljLXNlY3JldC1vZi1hbi1leGFtcGxlLi4=": key,
        "/var/lib/pdns-recursor": str(daemon.folder),
    }
    daemon.write("rpz.lua", example("pdns-recursor/rpz.lua", changes))
    daemon.write("hits.lua", example("pdns-recursor/hits.lua", {"/var/log/pdns-recursor": str(daemon.folder)}))
    daemon.write("recursor.conf", RECURSOR.format(folder=daemon.folder, port=port, upstream=upstream))
    return daemon


KRESD = """
net.listen('127.0.0.1', {port}, {{ kind = 'dns' }})
cache.size = 10 * MB
trust_anchors.remove('.')
dofile('{folder}/lachan-rpz.lua')
policy.add(policy.all(policy.FORWARD('127.0.0.1@{upstream}')))
"""


def kresd(folder: Path, port: int, zone: Path, upstream: int) -> Daemon:
    """Knot Resolver at an operator, not started; `zone` is the file that a relay writes."""
    daemon = Daemon("kresd", folder, port)
    changes = {"/var/lib/knot/lachan.zone": str(zone), "/var/log/knot-resolver": str(daemon.folder)}
    daemon.write("lachan-rpz.lua", example("knot-resolver/lachan-rpz.lua", changes))
    daemon.write("kresd.conf", KRESD.format(folder=daemon.folder, port=port, upstream=upstream))
    return daemon


@contextlib.contextmanager
def stopped(*daemons: Daemon) -> Iterator[Any]:
    """Ends them all with the block."""
    try:
        yield None
    finally:
        for daemon in daemons:
            daemon.stop()
