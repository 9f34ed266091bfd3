#!/usr/bin/env bash
# check-api.sh [SECONDS]: lets schemathesis loose on the API of a fresh project with some runs in it: no answer may be a
# fault of the server, and each must be one that the OpenAPI document describes. Event streams do not end, and are left out.
# Needs python3 with venv, and PyPI the first time.
set -euo pipefail

seconds=${1:-120}
version=4.32.5
target=${CARGO_TARGET_DIR:-target}
sluice=$(realpath "$target/debug/sluice")
venv=$(realpath -m "$target/schemathesis-$version")
port=${SLUICE_CHECK_PORT:-8399}

if [ ! -x "$venv/bin/schemathesis" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet "schemathesis==$version"
fi

project=$(mktemp -d)/shop
served=
finish() {
  [ -z "$served" ] || kill "$served" 2>/dev/null || true
  "$sluice" --project "$project" down >/dev/null 2>&1 || true
  rm -rf "${project%/shop}"
}
trap finish EXIT
"$sluice" init "$project" >/dev/null
cd "$project"
"$sluice" up
"$sluice" run sales --wait >/dev/null 2>&1
"$sluice" backfill sales --from 2026-01-01 --to 2026-01-03 --yes >/dev/null 2>&1
"$sluice" serve --port "$port" >serve.log 2>&1 &
served=$!

"$venv/bin/schemathesis" run "http://127.0.0.1:$port/api/v1/openapi.json" --wait-for-schema 20 \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
  --exclude-path-regex '/stream$' --phases coverage,fuzzing --max-time "$seconds" --warnings off --no-color
