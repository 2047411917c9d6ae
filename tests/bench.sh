#!/usr/bin/env bash
# The benchmark: every figure beside its limit, measured in one run with private servers.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../deploy/local/lib.sh"
. "$LUNAS_ROOT/deploy/local/postgres.sh"
. "$LUNAS_ROOT/deploy/local/rabbitmq.sh"

usage() {
  cat <<'HELP'
usage: tests/bench.sh [--quick] [--only PART[,PART...]]

Builds the release programs, starts a private PostgreSQL (default settings) and a private RabbitMQ,
measures, prints a table and writes target/bench/latest.json.

  --quick  one short round of everything: about three minutes after the build
  --only   some of: ingest apply million effects shop reconcile lag

Run it on a machine that does nothing else.
HELP
}

case "${1:-}" in
  --help | -h) usage; exit 0 ;;
esac

clean_up() {
  local code=$?
  trap - EXIT INT TERM HUP
  stop_step
  [ -z "${RUN_FOLDER:-}" ] || stop_everything_in "$RUN_FOLDER"
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

need_rust
postgres_need
rabbitmq_need
pgbench="$PG_BIN/pgbench"
[ -x "$pgbench" ] || pgbench="$(command -v pgbench)" || die "pgbench is missing: it comes with PostgreSQL (Debian: postgresql-contrib)"
make_run_folder bench
cd "$LUNAS_ROOT"
folder="$RUN_FOLDER"
service="deploy/local/service.sh"

say "building (release)"
# The programs that run.sh builds too, so that what is compiled serves both.
run_step cargo build --quiet --release -p lunas-ingest -p lunas-worker -p lunas-scheduler \
  -p lunas-api -p lunas-ops
# Apart from the services: built together, they would get the fault points of the tests.
run_step cargo build --quiet --release -p lunas-tests --bin lunas-bench

say "starting a private PostgreSQL and a private RabbitMQ"
run_step "$service" start-postgres "$folder/postgres" >"$folder/postgres.out"
run_step "$service" start-rabbitmq "$folder/rabbitmq" >"$folder/rabbitmq.out"
DATABASE_URL="$(sed -n 's/^url=//p' "$folder/postgres.out")"
AMQP_URL="$(sed -n 's/^url=//p' "$folder/rabbitmq.out")"
export DATABASE_URL AMQP_URL

run_step target/release/lunas-bench "$@" --root "$LUNAS_ROOT" \
  --postgres-folder "$folder/postgres" --rabbitmq-folder "$folder/rabbitmq" \
  --programs "$LUNAS_ROOT/target/release" --pgbench "$pgbench" --logs "$folder/logs" \
  --json "$LUNAS_ROOT/target/bench/latest.json"
