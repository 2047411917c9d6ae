#!/usr/bin/env bash
# Renews .sqlx: the description of every query that lets the workspace build without a database.
#
# The sqlx macros write it themselves while they compile against a database that has the schema of
# migrations/. By default that database is a private PostgreSQL made for the purpose.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$LUNAS_ROOT/deploy/local/postgres.sh"

usage() {
  cat <<'HELP'
usage: deploy/local/sqlx-prepare.sh [--check] [CARGO ARGUMENTS]

  --check           change nothing; exit 1 when .sqlx is not what the code and migrations give
  CARGO ARGUMENTS   what to compile instead of: --workspace --all-targets

  SQLX_PREPARE_URL  use this server (URL of a database whose role may create databases)
                    instead of a private one; a scratch database is made in it and dropped
HELP
}

check=no
case "${1:-}" in
  --help | -h) usage; exit 0 ;;
  --check) check=yes; shift ;;
esac
[ "$#" -gt 0 ] || set -- --workspace --all-targets

need_rust
postgres_need
cd "$LUNAS_ROOT"
scratch_name="lunas_prepare_$$"
work="$(mktemp -d "${TMPDIR:-/tmp}/lunas-prepare.XXXXXX")"

clean_up() {
  local code=$?
  trap - EXIT INT TERM
  if [ -n "${SQLX_PREPARE_URL:-}" ]; then
    "$PG_BIN/psql" -q "$SQLX_PREPARE_URL" -c "DROP DATABASE IF EXISTS $scratch_name WITH (FORCE)" || true
  fi
  stop_everything_in "$work"
  rm -rf "$work"
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

server="${SQLX_PREPARE_URL:-}"
if [ -z "$server" ]; then
  server="$(deploy/local/service.sh start-postgres "$work/postgres" --throwaway | sed -n 's/^url=//p')"
fi
"$PG_BIN/psql" -q "$server" -c "CREATE DATABASE $scratch_name"
# The same server, another database: replaces the path of the URL and keeps its query.
scratch="$(printf %s "$server" | sed -E "s#^([a-z]+://[^/]*)/[^?]*#\1/$scratch_name#")"
for file in migrations/[0-9]*.sql; do
  [ -e "$file" ] || die "there are no migrations"
  "$PG_BIN/psql" -q "$scratch" -v ON_ERROR_STOP=1 --single-transaction -f "$file" >/dev/null
done

# The macros run only in crates that are compiled anew, so each file that uses them is touched.
{ grep -rlE 'query(_as|_scalar|_file|_file_as)?!' --include='*.rs' --exclude-dir=target . || true; } |
  xargs -r touch
fresh="$work/sqlx"
mkdir "$fresh"
SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$fresh" DATABASE_URL="$scratch" cargo check --quiet "$@"

count="$(find "$fresh" -name 'query-*.json' | wc -l)"
if [ "$check" = yes ]; then
  mkdir -p "$work/committed"
  [ ! -d .sqlx ] || cp -r .sqlx/. "$work/committed/"
  diff -rq "$work/committed" "$fresh" >&2 || die ".sqlx is out of date: run deploy/local/sqlx-prepare.sh and commit it"
  say ".sqlx is up to date ($count queries)"
else
  rm -rf .sqlx
  mkdir .sqlx
  cp -r "$fresh/." .sqlx/
  say ".sqlx written ($count queries)"
fi
