"""Unit tests mirror the sources: whoever changes a module knows where its tests are.

Holds always: `PACKAGE/FOLDER/NAME.py` is tested by `tests/unit/PACKAGE/FOLDER/test_NAME.py`, or `ELSEWHERE` says by
which test and why there. A module without a branch, a loop or a comparison decides nothing and needs no test.
"""

from __future__ import annotations

import ast
from pathlib import PurePosixPath

from tests.architecture.tree import PACKAGES, modules, text, tracked

UNIT = PurePosixPath("tests/unit")

EDGE = "tests/integration/test_edge.py"
PAGES = "tests/integration/test_edge_pages.py"
WORKERS = "tests/faults/test_worker_faults.py"
ROAD = "tests/unit/blocklist_sync/central/verbs/test_release.py"
LIST_SERVICE = "tests/integration/test_blocklist_service.py"
FINDINGS = "tests/integration/test_registry_findings.py"
MIRRORS = "tests/integration/test_blocklist_mirrors.py"
PUSH = "tests/integration/test_blocklist_push.py"
SOURCES = "tests/integration/test_sources.py"
SYNC = "tests/integration/test_blocklist_sync.py"
SERVICE = "tests/integration/test_compliance_service.py"
LEDGERED = "tests/integration/test_ledger_service.py"
PACKS = "tests/integration/test_evidence_packs.py"
SEQUENCE = "tests/integration/test_ledger_sequence.py"
LEDGER = "tests/integration/test_ledger_store.py"
CHANGES = "tests/integration/test_list_changes.py"
STORES = "tests/integration/test_compliance_storage.py"
AGAIN = "tests/integration/test_judged_again.py"
UPKEEP = "tests/integration/test_compliance_upkeep.py"
READS = "tests/integration/test_console_reads.py"
RETENTION = "tests/integration/test_retention.py"
MIGRATIONS = "tests/integration/test_compliance_migrations.py"
ENROLLING = "tests/integration/test_enrolling.py"
ENROLMENT = "tests/integration/test_enrolment.py"
MEMBERSHIP = "tests/integration/test_membership.py"
CHALLENGES = "tests/integration/test_challenges.py"
ANSWERS = "tests/integration/test_answers.py"
CONSOLE = "tests/unit/compliance_api/web/test_app.py"
VERBS = "tests/integration/test_registry_verbs.py"
REGISTRY = "tests/integration/test_registry_service.py"
ROLE = "tests/integration/test_registry_role.py"
SIGNING = "tests/integration/test_registry_signing.py"
FORMATS = "tests/unit/blocklist_sync/central/intake/test_formats.py"

# Module: the tests that cover it, and why they do not stand at the mirrored place.
ELSEWHERE: dict[str, tuple[str, str]] = {
    "blocklist_sync/central/intake/collector.py": (SOURCES, "looks at real servers that cut, drip and lie"),
    "blocklist_sync/central/intake/download.py": (SOURCES, "real servers that cut, drip and lie"),
    "blocklist_sync/central/intake/formats/adblock.py": (
        FORMATS,
        "the formats are told apart, so they are tested together",
    ),
    "blocklist_sync/central/intake/formats/dnsmasq.py": (
        FORMATS,
        "the formats are told apart, so they are tested together",
    ),
    "blocklist_sync/central/intake/formats/hosts.py": (
        FORMATS,
        "the formats are told apart, so they are tested together",
    ),
    "blocklist_sync/central/intake/formats/plain.py": (
        FORMATS,
        "the formats are told apart, so they are tested together",
    ),
    "blocklist_sync/central/intake/formats/line.py": (FORMATS, "what a line says is seen by what is read from it"),
    "blocklist_sync/central/intake/formats/orderlist.py": (
        FORMATS,
        "the formats are told apart, so they are tested together",
    ),
    "blocklist_sync/central/intake/formats/rpz.py": (
        FORMATS,
        "the formats are told apart, so they are tested together",
    ),
    "blocklist_sync/central/mirror.py": (
        "tests/integration/test_repository_mirror.py",
        "real servers that lie, cut and lead back",
    ),
    "blocklist_sync/central/registry/migrations/versions/0002_signatures.py": (REGISTRY, "needs PostgreSQL"),
    "blocklist_sync/central/registry/migrations/versions/0003_findings.py": (FINDINGS, "needs PostgreSQL"),
    "blocklist_sync/central/registry/weighing.py": (FINDINGS, "needs PostgreSQL"),
    "blocklist_sync/central/verbs/findings.py": (FINDINGS, "verbs are run as commands"),
    "blocklist_sync/central/registry/signatures.py": (SIGNING, "needs PostgreSQL, keys and a release folder"),
    "blocklist_sync/central/verbs/signing.py": (SIGNING, "verbs are run as commands"),
    "blocklist_sync/central/registry/book.py": (REGISTRY, "needs PostgreSQL"),
    "blocklist_sync/central/registry/calls.py": (REGISTRY, "how a call ends is seen by who makes it"),
    "blocklist_sync/central/registry/desk.py": (REGISTRY, "needs PostgreSQL"),
    "blocklist_sync/central/registry/errors.py": (REGISTRY, "what a refusal names is seen by who is refused"),
    "blocklist_sync/central/registry/orders.py": (REGISTRY, "needs PostgreSQL"),
    "blocklist_sync/central/registry/ownership.py": (ROLE, "what a role may is PostgreSQL's to say"),
    "blocklist_sync/central/verbs/database.py": (ROLE, "verbs are run as commands"),
    "blocklist_sync/central/serving/strata.py": (
        "tests/unit/blocklist_sync/central/serving/test_sample.py",
        "what is arranged is seen by what is drawn",
    ),
    "blocklist_sync/central/serving/past.py": (LIST_SERVICE, "a log and its releases, as compliance asks for them"),
    "blocklist_sync/central/serving/counting.py": (REGISTRY, "real calls that end in every way"),
    "blocklist_sync/central/serving/metrics.py": (
        "tests/unit/blocklist_sync/central/serving/test_watch.py",
        "declarations; what they show is seen where it is looked at",
    ),
    "blocklist_sync/central/registry/record.py": (REGISTRY, "needs PostgreSQL"),
    "blocklist_sync/central/registry/releases.py": (
        "tests/integration/test_registry_release.py",
        "seen by the release that a decision came with",
    ),
    "blocklist_sync/central/registry/service.py": (REGISTRY, "who may call is known by TLS alone"),
    "blocklist_sync/central/release/candidate.py": (LIST_SERVICE, "a folder is killed at every step of its use"),
    "blocklist_sync/central/serving/admission.py": (
        "tests/integration/test_blocklist_revocations.py",
        "who is at the other end is known by TLS alone",
    ),
    "blocklist_sync/central/serving/rpc.py": (REGISTRY, "a composition root, run as a process"),
    "blocklist_sync/central/serving/server.py": (LIST_SERVICE, "a composition root, run as a process"),
    "blocklist_sync/central/verbs/ceremony.py": (ROAD, "a ceremony goes through several commands"),
    "blocklist_sync/central/verbs/common.py": (ROAD, "options are seen by the commands that take them"),
    "blocklist_sync/central/verbs/inspection.py": (
        "tests/unit/blocklist_sync/central/public/test_inspection.py",
        "an export is held against what was published",
    ),
    "blocklist_sync/central/verbs/keys.py": (ROAD, "a ceremony goes through several commands"),
    "blocklist_sync/central/verbs/serve.py": (LIST_SERVICE, "verbs are run as commands"),
    "blocklist_sync/central/verbs/trial.py": (ROAD, "a ceremony goes through several commands"),
    "blocklist_sync/central/serving/service.py": (LIST_SERVICE, "who may call is known by TLS alone"),
    "blocklist_sync/central/verbs/explain.py": (VERBS, "verbs are run as commands"),
    "blocklist_sync/central/verbs/history.py": (VERBS, "verbs are run as commands"),
    "blocklist_sync/central/verbs/order.py": (VERBS, "verbs are run as commands"),
    "blocklist_sync/central/verbs/person.py": (VERBS, "verbs are run as commands"),
    "blocklist_sync/central/verbs/proposal.py": (VERBS, "verbs are run as commands"),
    "blocklist_sync/central/verbs/registry.py": (VERBS, "verbs are run as commands"),
    "blocklist_sync/central/verbs/sources.py": (SOURCES, "verbs are run as commands"),
    "blocklist_sync/edge/activate.py": (SYNC, "what is durable is seen after a kill and on a full disk"),
    "blocklist_sync/edge/agent.py": (SYNC, "rounds against a real repository"),
    "blocklist_sync/edge/client.py": (SYNC, "TUF against a real repository"),
    "blocklist_sync/edge/download.py": (MIRRORS, "real servers that cut a file, and real files of what came"),
    "blocklist_sync/edge/fetcher.py": (SYNC, "real servers that drip, redirect and lie"),
    "blocklist_sync/edge/push.py": (PUSH, "real streams over TLS that end, fall silent and lie"),
    "compliance_api/ledger/accusation.py": (
        "tests/unit/compliance_api/ledger/test_evidence.py",
        "what a finding says is held against the leaves of a whole pack",
    ),
    "compliance_api/ledger/lineage.py": (
        "tests/unit/compliance_api/ledger/test_verify.py",
        "heads are verified as the verifier does, by whoever cheats with them",
    ),
    "compliance_api/ledger/outcome.py": (
        "tests/unit/compliance_api/ledger/test_verify.py",
        "it is what verifying comes to",
    ),
    "compliance_api/app.py": (SERVICE, "a composition root, run as a process"),
    "compliance_api/domain/parties/enrolment.py": (ENROLLING, "how an enrolment stands is seen by who decides on it"),
    "compliance_api/wiring/entrance.py": (SERVICE, "a composition root, run as a process"),
    "compliance_api/wiring/judging.py": (SERVICE, "a composition root, run as a process"),
    "compliance_api/probe/cli.py": ("tests/integration/test_probe.py", "verbs are run as commands"),
    "compliance_api/rpc/audit.py": (LEDGERED, "who asks is known by TLS alone"),
    "compliance_api/identity/issuing.py": (ENROLLING, "what is issued is seen by who is let in with it"),
    "compliance_api/rpc/enrolment.py": (ENROLMENT, "who may call is known by TLS alone"),
    "compliance_api/rpc/finding.py": (ANSWERS, "who may call is known by TLS alone"),
    "compliance_api/storage/reports/activity.py": (UPKEEP, "needs PostgreSQL"),
    "compliance_api/storage/probing/unsettled.py": ("tests/integration/test_asked_again.py", "needs PostgreSQL"),
    "compliance_api/storage/probing/shapes.py": ("tests/integration/test_shapes_kept.py", "needs PostgreSQL"),
    "compliance_api/verbs/observations.py": (
        "tests/integration/test_probes_to_console.py",
        "verbs are run as commands",
    ),
    "compliance_api/storage/probing/assignments.py": (STORES, "needs PostgreSQL"),
    "compliance_api/storage/findings/cases.py": (STORES, "needs PostgreSQL"),
    "compliance_api/storage/challenges/challenges.py": (CHALLENGES, "needs PostgreSQL"),
    "compliance_api/wiring/sequencer.py": (SEQUENCE, "wires the ledger's parts, and is run with the service"),
    "compliance_api/storage/ledger/entering.py": (LEDGER, "needs PostgreSQL"),
    "compliance_api/storage/membership/enrolments.py": (ENROLLING, "needs PostgreSQL"),
    "compliance_api/storage/membership/people.py": (ENROLLING, "needs PostgreSQL"),
    "compliance_api/storage/ledger/leaves.py": (LEDGER, "needs PostgreSQL"),
    "compliance_api/storage/membership/members.py": (MEMBERSHIP, "needs PostgreSQL"),
    "compliance_api/storage/membership/shares.py": ("tests/integration/test_admission.py", "needs PostgreSQL"),
    "compliance_api/storage/findings/casework.py": (STORES, "needs PostgreSQL"),
    "compliance_api/storage/findings/finding_versions.py": (
        "tests/integration/test_cited_evidence.py",
        "needs PostgreSQL",
    ),
    "compliance_api/storage/judging/closures.py": (AGAIN, "needs PostgreSQL"),
    "compliance_api/storage/judging/evidence.py": (STORES, "needs PostgreSQL"),
    "compliance_api/storage/judging/late.py": (AGAIN, "needs PostgreSQL"),
    "compliance_api/storage/probing/met.py": (STORES, "needs PostgreSQL"),
    "compliance_api/storage/probing/listchanges.py": (CHANGES, "needs PostgreSQL"),
    "compliance_api/storage/probing/linechecks.py": ("tests/integration/test_line_checks.py", "needs PostgreSQL"),
    "compliance_api/storage/probing/redraw.py": (
        "tests/integration/test_redraw.py",
        "draws are made again on a real database",
    ),
    "compliance_api/storage/packs/takenout.py": (PACKS, "reads the names of releases from PostgreSQL"),
    "compliance_api/storage/packs/withheld.py": (CHALLENGES, "needs PostgreSQL"),
    "compliance_api/storage/judging/laws.py": (STORES, "needs PostgreSQL"),
    "compliance_api/storage/migrate.py": (STORES, "needs PostgreSQL"),
    "compliance_api/storage/probing/observations.py": (SERVICE, "needs PostgreSQL"),
    "compliance_api/storage/console/overview.py": (READS, "needs PostgreSQL"),
    "compliance_api/storage/upkeep/partitions.py": (UPKEEP, "needs PostgreSQL"),
    "compliance_api/storage/challenges/counters.py": (CHALLENGES, "needs PostgreSQL"),
    "compliance_api/storage/challenges/outcomes.py": (
        "tests/integration/test_challenge_verdicts.py",
        "needs PostgreSQL",
    ),
    "compliance_api/usecases/challenges/copies.py": (CHALLENGES, "reads stored reports"),
    "compliance_api/verbs/unreported.py": (CHALLENGES, "verbs are run as commands"),
    "compliance_api/storage/probing/paths.py": (CHALLENGES, "needs PostgreSQL"),
    "compliance_api/storage/reports/reports.py": (STORES, "needs PostgreSQL"),
    "compliance_api/storage/upkeep/retention.py": (UPKEEP, "needs PostgreSQL"),
    "compliance_api/storage/membership/node_versions.py": (MEMBERSHIP, "needs PostgreSQL"),
    "compliance_api/storage/console/detail.py": (READS, "needs PostgreSQL"),
    "compliance_api/storage/findings/listing.py": (READS, "needs PostgreSQL"),
    "compliance_api/storage/findings/rows.py": (READS, "needs PostgreSQL"),
    "compliance_api/storage/console/measured.py": ("tests/integration/test_known_at.py", "needs PostgreSQL"),
    "compliance_api/storage/upkeep/keeping.py": (RETENTION, "needs PostgreSQL"),
    "compliance_api/storage/upkeep/sweeping.py": (RETENTION, "needs PostgreSQL"),
    "compliance_api/storage/upkeep/terms.py": (RETENTION, "needs PostgreSQL"),
    "compliance_api/storage/reports/rollups.py": (UPKEEP, "needs PostgreSQL"),
    "compliance_api/storage/tables/upkeep.py": (UPKEEP, "needs PostgreSQL"),
    "compliance_api/storage/upkeep/upkeep.py": (UPKEEP, "needs PostgreSQL"),
    "compliance_api/storage/packs/packs.py": (PACKS, "needs PostgreSQL"),
    "compliance_api/storage/packs/pack_selection.py": (PACKS, "needs PostgreSQL"),
    "compliance_api/storage/judging/periods.py": ("tests/integration/test_findings.py", "needs PostgreSQL"),
    "compliance_api/storage/packs/proofs.py": (SEQUENCE, "needs PostgreSQL"),
    "compliance_api/storage/ledger/sequence.py": (SEQUENCE, "needs PostgreSQL"),
    "compliance_api/usecases/ledger/sequence.py": (SEQUENCE, "its witnesses and its database are real ones"),
    "compliance_api/storage/packs/redacted.py": (ANSWERS, "needs PostgreSQL"),
    "compliance_api/usecases/findings/desk.py": (ANSWERS, "who may call is known by TLS alone"),
    "compliance_api/verbs/steps.py": (ANSWERS, "verbs are run as commands"),
    "compliance_api/usecases/findings/casework.py": (STORES, "what is shown is seen by what was done"),
    "compliance_api/verbs/finding.py": ("tests/integration/test_findings.py", "verbs are run as commands"),
    "compliance_api/verbs/verdict.py": ("tests/integration/test_findings.py", "verbs are run as commands"),
    "compliance_api/verbs/upkeep.py": (UPKEEP, "verbs are run as commands"),
    "compliance_api/storage/judging/tallies.py": (STORES, "needs PostgreSQL"),
    "compliance_api/storage/probing/seeds.py": (CHALLENGES, "needs PostgreSQL"),
    "compliance_api/rpc/challenge.py": (CHALLENGES, "seen by the nodes that call it"),
    "compliance_api/wiring/challenging.py": (SERVICE, "a composition root, run as a process"),
    "compliance_api/verbs/nonces.py": (CHALLENGES, "verbs are run as commands"),
    "compliance_api/usecases/membership/enrolment.py": (ENROLLING, "every decision is one transaction"),
    "compliance_api/usecases/membership/entry.py": (MEMBERSHIP, "what is kept is seen by who reads it again"),
    "compliance_api/verbs/database.py": (ENROLMENT, "verbs are run as commands"),
    "compliance_api/verbs/enrolment.py": (ENROLMENT, "verbs are run as commands"),
    "compliance_api/verbs/person.py": (ENROLMENT, "verbs are run as commands"),
    "compliance_api/verbs/organisation.py": (ENROLMENT, "verbs are run as commands"),
    "lachan/newcomer.py": (ENROLMENT, "an enrolment needs a service"),
    "compliance_api/web/api.py": (CONSOLE, "a page among the others"),
    "compliance_api/web/headers.py": (CONSOLE, "what every page carries"),
    "compliance_api/verbs/evidence.py": (PACKS, "verbs are run as commands"),
    "compliance_api/verbs/ledger.py": (PACKS, "verbs are run as commands"),
    "lachan/ledger/batch.py": (STORES, "what a leaf of a report commits to is seen in the ledger"),
    "lachan/migration.py": (STORES, "needs PostgreSQL"),
    "lachan/sqlitefile.py": ("tests/unit/lachan/test_spool.py", "what damage means is seen by what the file holds"),
    "resolver/_hot/settle.pyx": (
        "tests/unit/resolver/_hot/test_engine.py",
        "the order is seen from where queries come in",
    ),
    "resolver/ask.py": (EDGE, "asks a running edge"),
    "resolver/cli.py": (EDGE, "verbs are run as commands"),
    "resolver/inherited.py": (EDGE, "processes that outlive their supervisor"),
    "resolver/newcomer.py": ("tests/faults/test_start.py", "processes that start, and do not"),
    "resolver/rpzlog/agent.py": ("tests/faults/test_rpz_hits.py", "what it kept is seen after a kill"),
    "resolver/rpzlog/cli.py": ("tests/integration/test_rpz_hits.py", "verbs are run as commands"),
    "resolver/pages/keeper.py": (PAGES, "processes that die and are taken over"),
    "resolver/pages/server.py": (PAGES, "a composition root, run as a process"),
    "resolver/listeners/serving.py": (WORKERS, "whose sockets are read is seen by who is answered"),
    "resolver/process.py": (WORKERS, "processes that are killed and stopped"),
    "resolver/reporting.py": ("tests/integration/test_edge_reports.py", "windows that close on a real clock"),
    "resolver/supervisor.py": (EDGE, "a composition root, run as a process"),
    "resolver/worker.py": (EDGE, "a composition root, run as a process"),
    "resolver/verbs/exceptions.py": (
        "tests/integration/test_edge_policy.py",
        "verbs are run as commands",
    ),
    "resolver/verbs/receipts.py": (
        "tests/unit/resolver/test_proofs.py",
        "what is exported is verified",
    ),
    "resolver/verbs/status.py": (EDGE, "verbs are run as commands"),
    "resolver/workers.py": (EDGE, "processes that die and are adopted"),
}

# Whole folders of which the same holds.
FOLDERS = {
    "blocklist_sync/central/registry/migrations/versions": (REGISTRY, "needs PostgreSQL"),
    "compliance_api/storage/migrations/versions": (MIGRATIONS, "needs PostgreSQL"),
}

# Tests of something that is no module of its own.
OF_NO_MODULE = {
    "tests/unit/resolver/_hot/test_lettercase.py": "resolver/_hot/lettercase.pxd, by what an engine sends and believes",
    "tests/unit/test_generated_stubs.py": "all stubs under lachan/ at once",
    "tests/unit/compliance_api/web/test_styles.py": "the style sheet",
    "tests/unit/deploy/test_docker.py": "the Dockerfiles",
    "tests/unit/deploy/test_examples.py": "the example configurations",
    "tests/unit/deploy/test_prometheus.py": "the rules for Prometheus",
    "tests/unit/deploy/test_systemd.py": "the units",
}

DECISIONS = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.Try,
    ast.Match,
    ast.BoolOp,
    ast.Compare,
    ast.comprehension,
)


def decides(path: PurePosixPath) -> bool:
    if path.suffix == ".pyx":
        return True
    functions = [
        node for node in ast.walk(ast.parse(text(path))) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return any(isinstance(node, DECISIONS) for function in functions for node in ast.walk(function))


def mirrored(path: PurePosixPath) -> PurePosixPath:
    name = path.parent.name if path.stem == "__init__" else path.stem.lstrip("_")
    folder = path.parent.parent if path.stem == "__init__" else path.parent
    return UNIT / folder / f"test_{name}.py"


def elsewhere(path: PurePosixPath) -> bool:
    return str(path) in ELSEWHERE or str(path.parent) in FOLDERS


def test_each_module_that_decides_is_tested_at_the_mirrored_place() -> None:
    there = set(tracked())
    untested = [
        f"{path}: no {mirrored(path)}"
        for path in modules()
        if decides(path) and mirrored(path) not in there and not elsewhere(path)
    ]
    assert untested == []


def test_each_unit_test_has_its_module() -> None:
    wanted = {mirrored(path) for path in tracked() if path.suffix in {".py", ".pyx", ".sh"}}
    stray = [
        str(path)
        for path in tracked()
        if path.is_relative_to(UNIT) and path.name.startswith("test_")
        if path not in wanted and str(path) not in OF_NO_MODULE
    ]
    assert stray == []


def test_the_exceptions_are_true() -> None:
    there = {str(path) for path in tracked()}
    for module, (test, reason) in ELSEWHERE.items():
        assert module in there, f"{module} is gone"
        assert test in there, f"{module}: {test} is gone"
        assert reason
        assert str(mirrored(PurePosixPath(module))) not in there, f"{module} has its own test: drop it here"
        assert module.split("/")[0] in PACKAGES
    for folder, (test, reason) in FOLDERS.items():
        assert any(str(path.parent) == folder for path in modules()), f"{folder} is gone"
        assert test in there, f"{folder}: {test} is gone"
        assert reason
    assert [path for path in OF_NO_MODULE if path not in there] == []
