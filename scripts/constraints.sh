#!/usr/bin/env bash
# Writes constraints.txt: the versions in .venv of everything our distributions and their tests need, for every
# platform and Python, without the address of any index.
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
projects=(pyproject.toml integrations/*/pyproject.toml)
own=()
for project in "${projects[@]}"; do own+=(--no-emit-package "$(sed -n 's/^name = "\(.*\)"/\1/p' "$project" | head -n 1)"); done

# uv prefers the versions it finds in the file it writes.
"$python" -m uv pip freeze --python "$python" -q | grep -E '^[A-Za-z0-9._-]+==' >constraints.txt
"$python" -m uv pip compile -q --universal --python-version 3.11 --all-extras --group dev \
  --no-annotate --no-header "${own[@]}" "${projects[@]}" -o constraints.txt
"$python" -m uv --version | sed -E 's/^uv ([0-9.]+).*/uv==\1/' >>constraints.txt
printf '# Made by `make constraints`: versions only, known to work together.\n%s\n' "$(sort constraints.txt)" >constraints.txt
