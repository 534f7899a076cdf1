"""An upstream that says nothing of one domain and answers all else: `python -m tests.bench.silent PORT DOMAIN`."""

from __future__ import annotations

import socket
import sys


def main() -> None:
    """Until it is ended. Names of DOMAIN are heard and not answered; others are said to have nothing of the type."""
    port, domain = sys.argv[1:]
    mark = b"".join(bytes([len(label)]) + label.encode() for label in domain.split("."))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", int(port)))
        while True:
            query, client = sock.recvfrom(4096)
            if mark not in query.lower():
                sock.sendto(query[:2] + b"\x81\x80" + query[4:], client)


if __name__ == "__main__":
    main()
