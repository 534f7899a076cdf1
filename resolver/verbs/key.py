"""`lachan-resolver key`: who this node is, and by which key its reports are known."""

from __future__ import annotations

from lachan.terminal import document, line
from resolver.verbs.common import DEFAULT, Config, Json


def key(config: Config = DEFAULT, as_json: Json = False) -> None:
    """Print the node's name and the public key of its reports: a line for `lachan-compliance verify --parties`.

    Keep it with those of the keys that the node had before: in a dispute it shows which reports are the node's own.
    """
    from lachan.signing import SigningKey
    from lachan.tls import Identity, Role
    from resolver import settings
    from resolver.enrolment import KEY_FILE

    edge = settings.read(config)
    node = str(Identity(edge.file.organisation, Role.NODE, edge.file.node))
    own = SigningKey.load(edge.file.state_dir / KEY_FILE).public.raw.hex()
    if as_json:
        document({"node": node, "key": own})
    else:
        line(f"{node} {own}")
