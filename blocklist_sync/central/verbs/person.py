"""`lachan-blocklist people`: who takes part, as the approvals log has it; enrolled and retired by another's key."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from blocklist_sync.central.errors import CentralError
from blocklist_sync.central.log import approvals, keys
from blocklist_sync.central.log.approvals import ENROL, RETIRE, Admission, Person
from blocklist_sync.central.registry.client import CALL_SECONDS, RegistryClient
from blocklist_sync.central.release import holder
from blocklist_sync.central.verbs import registry
from blocklist_sync.central.verbs.common import Json
from blocklist_sync.central.verbs.registry import Config
from lachan import terminal
from lachan.blocklist.v1 import registry_service_pb2 as pb

app = typer.Typer(help="Editors, approvers and custodians.", no_args_is_help=True, add_completion=False)


async def _people(client: RegistryClient) -> list[pb.Person]:
    answer = await client.call(client.stub.ListPeople(pb.ListPeopleRequest(), timeout=CALL_SECONDS))
    return list(answer.people)


@app.command("list")
def list_people(config: Config, as_json: Json = False) -> None:
    """Everybody who is enrolled."""
    people = registry.asking(config, _people)
    if as_json:
        rows = [
            {
                "id": one.id,
                "name": one.name,
                "unit": one.unit,
                "roles": list(one.roles),
                "public_key": one.public_key.hex(),
            }
            for one in people
        ]
        terminal.document({"people": rows})
        return
    columns = ("id", "name", "unit", "roles", "key")
    terminal.table(
        "People",
        columns,
        [(one.id, one.name, one.unit, ", ".join(one.roles), one.public_key.hex()[:16] + "…") for one in people],
    )


def _admit(config: Path, change: str, person: Person, *, as_json: bool) -> None:
    signer = registry.signer_of(registry.settings_of(config))
    admission = Admission(change, person, int(time.time()))

    async def work(client: RegistryClient) -> int:
        witness = approvals.sign_admission(signer, client.person, admission)
        request = pb.AdmitPersonRequest(
            change=change,
            person=pb.Person(
                id=person.id, name=person.name, unit=person.unit, roles=person.roles, public_key=person.key
            ),
            decided_at=admission.decided_at,
            witness_key=bytes.fromhex(witness.public_key),
            signature=bytes.fromhex(witness.signature),
        )
        answer = await client.call(client.stub.AdmitPerson(request, timeout=CALL_SECONDS))
        return int(answer.log_index)

    index = registry.asking(config, work)
    if as_json:
        terminal.document({"change": change, "person": person.id, "log_index": index})
    else:
        terminal.line(f"{change}: {person.id}, step {index} of the log")


@app.command("enrol")
def enrol(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="As the person's certificate names them.")],
    config: Config,
    name: Annotated[str, typer.Option(help="Their name.")],
    unit: Annotated[str, typer.Option(help="The unit that they answer for.")],
    role: Annotated[list[str], typer.Option(help="editor, approver or custodian; may be given again.")],
    public: Annotated[Path, typer.Option(help="Their public key (.pub.json).")],
    as_json: Json = False,
) -> None:
    """Enrols somebody, signed by you: an approver, and another person than they are."""
    key = keys.raw(holder.public(public))
    person = Person(identifier, name, unit, tuple(sorted(set(role))), key.hex())
    _admit(config, ENROL, person, as_json=as_json)


@app.command("retire")
def retire(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Who takes part no more.")],
    config: Config,
    as_json: Json = False,
) -> None:
    """Retires somebody; their key counts for nothing from here on, and is never enrolled again."""
    found = next((one for one in registry.asking(config, _people) if one.id == identifier), None)
    if found is None:
        raise CentralError(f"{identifier} is not enrolled")
    person = Person(found.id, found.name, found.unit, tuple(found.roles), found.public_key.hex())
    _admit(config, RETIRE, person, as_json=as_json)
