"""Writes docs/support-matrix.md: per provider what it can, what its tests ran against, and the laws it kept.

python scripts/support_matrix.py --from FOLDER   take the numbers of the JUnit reports there, write JSON and page
python scripts/support_matrix.py                 write the page from docs/support-matrix.json
python scripts/support_matrix.py --check         say whether the page is current; exit with 1 if not
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from memkit.registry import PROVIDERS, ProviderKind, provider_class

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "support-matrix.md"
NUMBERS = ROOT / "docs" / "support-matrix.json"

Kind = Literal["ledger", "vector_store", "graph_store", "llm"]
TITLES: Mapping[Kind, str] = {
    "ledger": "Ledgers",
    "vector_store": "Vector stores",
    "graph_store": "Graph stores",
    "llm": "LLMs",
}
LEDGERS = ("postgresql", "sqlite")
PROOFS: Mapping[str, str] = {"scope": "scope", "crash": "crash", "writers": "two writers"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way of using a provider, and where its tests are."""

    kind: Kind
    name: str
    variant: str = ""
    against: str
    """What the tests ran against."""
    real: bool
    """Whether that is the engine itself, and no stand-in."""
    suites: tuple[str, ...]
    """Ends of the names of its test classes."""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What makes it what it is here, so that it says its capabilities."""
    proofs: Mapping[str, str] = field(default_factory=dict[str, str])
    """Per proof a pattern of the tests that give it."""

    @property
    def key(self) -> str:
        return "/".join(part for part in (self.kind, self.name, self.variant) if part)


_STORE = {
    "scope": r"\.{suite}::test_a_(small_tenant_gets_its_full_result|filter_means_what_the_reference_says)",
    "writers": r"\.{suite}::test_two_processes_see_each_others_writes",
}
_GRAPH = {
    "scope": r"\.{suite}::test_(every_read_keeps_to_the_scope|dropping_a_scope_touches_nobody_else)",
    "crash": r"\.{suite}::test_a_killed_process_leaves_nothing_half_done",
    "writers": r"\.{suite}::test_two_processes_see_each_others_writes",
}


def _store(
    name: str,
    suite: str,
    *,
    against: str,
    real: bool = True,
    faults: Mapping[str, str] | None = None,
    **more: Any,
) -> Row:
    proofs = {proof: pattern.replace("{suite}", suite) for proof, pattern in _STORE.items()}
    for proof, pattern in (faults or {}).items():
        proofs[proof] = f"({pattern})|({proofs[proof]})" if proof in proofs else pattern
    return Row(
        kind="vector_store", name=name, suites=(suite,), against=against, real=real, proofs=proofs, **more
    )


def _graph(name: str, suite: str, *, against: str, real: bool = True, **more: Any) -> Row:
    proofs = {proof: pattern.replace("{suite}", suite) for proof, pattern in _GRAPH.items()}
    return Row(
        kind="graph_store", name=name, suites=(suite,), against=against, real=real, proofs=proofs, **more
    )


def _faults(suite: str) -> Mapping[str, str]:
    """The fault runs of an index in that class."""
    return {
        "crash": rf"\.{suite}::test_a_kill_at_a_step_of_the_index",
        "writers": rf"\.{suite}::test_two_writers_leave_one_whole_index",
    }


ROWS: Sequence[Row] = (
    Row(
        kind="ledger", name="postgresql", against="PostgreSQL 18 over TCP, with a password", real=True,
        suites=("TestPostgresLedger",),
        proofs={
            "scope": r"TestPostgresLedger::test_a_scope_sees_its_own_and_no_more",
            "crash": r"faults\.test_postgres::test_(a_writer_killed_at_any_step|writers_killed_one_by_one)",
            "writers": r"faults\.test_postgres::test_(two_homes_see_each_others|writers_killed_one_by_one)",
        },
    ),
    Row(
        kind="ledger", name="sqlite", against="SQLite, in files and in memory", real=True,
        suites=("TestSqliteLedger", "TestSqliteLedgerInMemory"),
        proofs={
            "scope": r"TestSqliteLedger::test_a_scope_sees_its_own_and_no_more",
            "crash": r"faults\.test_engine_faults.*::test_a_kill_at_any_step",
            "writers": r"faults\.test_engine_faults.*::test_two_processes_on_one_path",
        },
    ),
    _store(
        "chroma", "TestChromaEmbedded", variant="a folder", settings={"path": "x"}, against="Chroma, embedded",
        faults=_faults("TestChromaFolderFaults"),
    ),
    _store(
        "chroma", "TestChromaServer", variant="a server", settings={"host": "x"},
        against="Chroma, `chroma run` over HTTP", faults=_faults("TestChromaServerFaults"),
    ),
    _store("chroma", "TestChromaInMemory", variant="in memory", against="Chroma, in memory"),
    _store(
        "langchain", "test_langchain_stores.TestInMemory", against="LangChain's InMemoryVectorStore and Chroma"
    ),
    _store("llama_index", "TestLlamaIndexStore", against="LlamaIndex's SimpleVectorStore"),
    _store("memory", "TestMemoryStore", against="itself: it is the reference"),
    _store(
        "pgvector", "TestPgvector", variant="a server", settings={"host": "x"},
        against="PostgreSQL 18 with pgvector 0.8 over TCP, with a password",
        faults=_faults("TestPgvectorFaults"),
    ),
    _store("qdrant", "TestQdrantInMemory", variant="in memory", against="qdrant-client's local mode"),
    _store(
        "qdrant", "TestQdrantFolder", variant="a folder", settings={"path": "x"},
        against="qdrant-client's local mode", faults=_faults("TestQdrantFolderFaults"),
    ),
    _store(
        "qdrant", "TestQdrantServer", variant="a server", settings={"url": "http://x"}, real=False,
        against="the official client over HTTP, against a local server on its local mode",
        faults=_faults("TestQdrantServerFaults"),
    ),
    _store(
        "qdrant", "TestQdrantGrpc", variant="a server over gRPC", settings={"host": "x", "grpc": True}, real=False,
        against="the official client over gRPC, against a local server of the vendor's stubs on its local mode",
    ),
    _store(
        "sqlite", "TestSqliteStore", settings={"path": "x.db"}, against="SQLite, a file",
        faults={"crash": r"faults\.test_engine_faults.*::test_a_kill_at_any_step.*\[index-"},
    ),
    _graph(
        "neo4j", "TestNeo4j", settings={"url": "bolt://127.0.0.1:7687"},
        against="ArcadeDB over Bolt, a stand-in, with the official driver", real=False,
    ),
    _graph("networkx", "TestNetworkxFile", settings={"path": "x"}, against="networkx, a file"),
    _graph(
        "postgres", "test_graph_stores.TestPostgres", settings={"url": "postgresql://127.0.0.1/x"},
        against="PostgreSQL 18 over TCP, with a password",
    ),
    _graph("sqlite", "test_graph_stores.TestSqlite", settings={"path": "x"}, against="SQLite, a file"),
)  # fmt: skip


def rows() -> list[Row]:
    """All rows: those above, and one for each language model."""
    models: list[Row] = []
    for name, entry in PROVIDERS["llm"].items():
        cls = entry.target.partition(":")[2]
        suites = tuple({f"Test{cls}", f"Test{cls.removesuffix('LLM')}"})
        models.append(Row(kind="llm", name=name, against=_speaks(name), real=False, suites=suites))
    return sorted([*ROWS, *models], key=lambda row: (list(TITLES).index(row.kind), row.name, row.variant))


def _speaks(name: str) -> str:
    if name == "fake":
        return "nothing: it is a double for tests"
    if name in ("langchain", "llama_index"):
        return "the framework's own models and doubles"
    return "the official SDK against a local server of its wire format"


# ------------------------------------------------------------------------------------------------ numbers


def numbers_of(folder: Path) -> dict[str, Any]:
    """Per row the laws that passed, failed and were skipped, and the tests that prove scope, crash and two writers."""
    cases: dict[str, ElementTree.Element] = {}
    for path in sorted(folder.glob("*.xml")):
        for case in ElementTree.parse(path).iter("testcase"):
            cases[f"{case.get('classname', '')}::{case.get('name', '')}"] = case
    return {row.key: _numbers(row, cases) for row in rows()}


def _numbers(row: Row, cases: Mapping[str, ElementTree.Element]) -> dict[str, Any]:
    laws: dict[str, set[str]] = {"passed": set(), "failed": set(), "skipped": set()}
    runs: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    proofs: dict[str, Counter[str]] = {proof: Counter() for proof in PROOFS}
    for name, case in cases.items():
        state = _state(case)
        if case.get("classname", "").endswith(tuple(f".{suite}" for suite in row.suites)):
            laws[state].add(name.rpartition("::")[2].partition("[")[0])
            runs[state] += 1
            if (skipped := case.find("skipped")) is not None:
                reasons[(skipped.get("message") or "no reason given").removeprefix("Skipped: ")] += 1
        for proof, pattern in row.proofs.items():
            proofs[proof][state] += re.search(pattern, name) is not None
    return {
        "laws": len(laws["passed"] - laws["failed"]),
        "laws_skipped": len(laws["skipped"] - laws["passed"]),
        **{state: runs[state] for state in ("passed", "failed", "skipped")},
        "reasons": dict(sorted(reasons.items())),
        **{proof: counts["passed"] if not counts["failed"] else 0 for proof, counts in proofs.items()},
    }


def _state(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


# --------------------------------------------------------------------------------------------------- page

INTRODUCTION = """\
# Support matrix

Made by `scripts/support_matrix.py` from the reports of a CI run; edit that. What a provider's tests ran against is said
for each. A store is **supported** if its tests of scope, of crashes (a process killed in the middle of writing) and of
two writers passed on the real engine, and no law failed. Everything else is *protocol-tested*: the laws below hold
against what is named, and against nothing more.

Laws run both blocking and awaited; "runs" counts each with each of its examples, "proofs" the passed tests of scope,
crash and two writers. A law is skipped where the provider lacks what it is about; the reasons are below each table.
"""


def page(numbers: Mapping[str, Any]) -> str:
    """The page for these numbers."""
    parts = [INTRODUCTION]
    for kind, title in TITLES.items():
        mine = [row for row in rows() if row.kind == kind]
        lines = [_line(row, numbers.get(row.key, {})) for row in mine]
        titles = (
            "provider",
            "status",
            "tests ran against",
            "laws",
            "runs",
            "skipped",
            "proofs",
            "capabilities",
        )
        head = f"| {' | '.join(titles)} |"
        parts.append(f"## {title}\n\n{head}\n|{' --- |' * 8}\n" + "\n".join(lines) + "\n")
        if reasons := _reasons(mine, numbers):
            parts.append("Skipped:\n\n" + "\n".join(f"- {reason}" for reason in reasons) + "\n")
    return "\n".join(parts)


def _line(row: Row, seen: Mapping[str, Any]) -> str:
    name = f"`{row.name}`" + (f", {row.variant}" if row.variant else "")
    skipped = (
        f"{seen.get('laws_skipped', 0)} laws, {seen.get('skipped', 0)} runs" if seen.get("skipped") else "0"
    )
    proofs = ", ".join(str(seen.get(proof, 0)) for proof in PROOFS) if row.kind != "llm" else "–"
    able = ", ".join(f"`{each}`" for each in capabilities(row)) or "–"
    return (
        f"| {name} | {status(row, seen)} | {row.against} | {seen.get('laws', 0)} | {seen.get('passed', 0)} | {skipped} "
        f"| {proofs} | {able} |"
    )


def status(row: Row, seen: Mapping[str, Any]) -> str:
    """Whether a row is supported, protocol-tested, or not tested at all."""
    if seen.get("failed"):
        return f"broken: {seen['failed']} runs failed"
    if not seen.get("passed"):
        return "not tested" if row.name != "fake" else "for tests"
    proven = row.real and row.kind != "llm" and all(seen.get(proof) for proof in PROOFS)
    return "**supported**" if proven else "*protocol-tested*"


def _reasons(mine: Iterable[Row], numbers: Mapping[str, Any]) -> list[str]:
    found: Counter[str] = Counter()
    for row in mine:
        found.update(numbers.get(row.key, {}).get("reasons", {}))
    return [f"{reason}: {count}" for reason, count in sorted(found.items())]


def capabilities(row: Row) -> list[str]:
    """What a provider says it can, used as the row says; all extras are installed where pages are made."""
    if row.kind in ("ledger", "llm"):
        return []
    cls = provider_class(row.kind, row.name)
    if row.name in ("langchain", "llama_index"):
        return sorted(cls.capabilities)
    if not row.settings:
        return sorted(cls().capabilities)
    return sorted(cls(cls.Settings(**row.settings)).capabilities)


def missing() -> list[str]:
    """Providers that are registered and have no row."""
    kinds: Sequence[ProviderKind] = ("vector_store", "graph_store", "llm")
    known = {(row.kind, row.name) for row in rows()}
    wanted = [(kind, name) for kind in kinds for name in PROVIDERS[kind]] + [
        ("ledger", name) for name in LEDGERS
    ]
    return [f"{kind} {name}" for kind, name in wanted if (kind, name) not in known]


def main(arguments: Sequence[str]) -> int:
    if "--from" in arguments:
        numbers = numbers_of(Path(arguments[arguments.index("--from") + 1]))
        NUMBERS.write_text(json.dumps(numbers, indent=1, sort_keys=True) + "\n", "utf-8")
    text = page(json.loads(NUMBERS.read_text("utf-8")))
    if "--check" not in arguments:
        PAGE.write_text(text, "utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text("utf-8") == text and not missing():
        return 0
    print(
        f"docs/support-matrix.md is not current; run scripts/support_matrix.py. Without a row: {missing() or 'none'}"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
