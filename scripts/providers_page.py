"""Writes docs/providers.md, the table of providers, from the registry and the files it names.

python scripts/providers_page.py            write it
python scripts/providers_page.py --check    say whether it is current; exit with 1 if not
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from memkit.registry import PLANNED, PROVIDERS, ProviderKind, provider_class

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "providers.md"
KINDS: tuple[tuple[ProviderKind, str], ...] = (
    ("vector_store", "Vector stores"),
    ("llm", "LLMs"),
    ("embedder", "Embedders"),
    ("graph_store", "Graph stores"),
    ("reranker", "Rerankers"),
)
INTRODUCTION = """\
# Providers

Made from `memkit/registry.py` by `make docs`; edit that. A provider is chosen by its name, as in
`Memory(vector_store="chroma")`, with settings as `{"provider": "chroma", "config": {...}}`, or as an
instance. "Nothing more" in the second column means that it comes with the core.
"""


def page() -> str:
    parts = [INTRODUCTION]
    for kind, title in KINDS:
        parts.append(f"## {title}\n")
        if PROVIDERS[kind]:
            rows = "\n".join(
                f"| `{name}` | {needs(entry.extra)} | {summary(kind, name)} |"
                for name, entry in PROVIDERS[kind].items()
            )
            parts.append(f"| name | needs | what it is |\n| --- | --- | --- |\n{rows}\n")
        if PLANNED[kind]:
            names = ", ".join(f"`{name}`" for name in PLANNED[kind])
            parts.append(f"Known by name, not built yet: {names}.\n")
    return "\n".join(parts)


def needs(extra: str | None) -> str:
    return f"the extra `{extra}`" if extra else "nothing more"


def summary(kind: ProviderKind, name: str) -> str:
    """The first paragraph of the class; all extras are installed where pages are made."""
    text = inspect.getdoc(provider_class(kind, name)) or ""
    return text.split("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def main() -> int:
    text = page()
    if "--check" not in sys.argv:
        PAGE.write_text(text, "utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text("utf-8") == text:
        return 0
    print("docs/providers.md is not what memkit/registry.py says; run `make docs`")
    return 1


if __name__ == "__main__":
    sys.exit(main())
