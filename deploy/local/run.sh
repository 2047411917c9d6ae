#!/usr/bin/env bash
# The whole fleet on one machine: private PostgreSQL and RabbitMQ, the gateway's simulator, the
# services, and a player that takes a few orders through everything that can happen to them.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$LUNAS_ROOT/deploy/local/postgres.sh"
. "$LUNAS_ROOT/deploy/local/rabbitmq.sh"
. "$LUNAS_ROOT/deploy/local/fleet.sh"

usage() {
  cat <<'HELP'
usage: deploy/local/run.sh [--once]

Starts everything, plays orders through, prints how each ended and where things are, and waits
for Ctrl-C, which stops everything again.

  --once        stop after the orders; exit 0 only if each ended as it should

  DATABASE_URL  use this PostgreSQL database instead of a private one (it is migrated)
  AMQP_URL      use this RabbitMQ virtual host instead of a private node (the topology is declared)
  LUNAS_PROFILE dev builds without optimisation, which is quicker; default: release

Logs and data are below target/local/, on ports of 127.0.0.1 that are free. Missing packages are
installed with apt-get. Any number of these may run side by side.
HELP
}

once=no
case "${1:-}" in
  --help | -h) usage; exit 0 ;;
  --once) once=yes ;;
  "") ;;
  *) usage >&2; exit 2 ;;
esac

clean_up() {
  local code=$?
  trap - EXIT INT TERM HUP
  stop_step
  [ "$code" -eq 0 ] || [ "$code" -ge 128 ] || show_logs
  say "stopping"
  stop_fleet
  [ -z "${RUN_FOLDER:-}" ] || stop_everything_in "$RUN_FOLDER"
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

need_rust
need_command curl curl
[ -n "${DATABASE_URL:-}" ] || postgres_need
[ -n "${AMQP_URL:-}" ] || rabbitmq_need
make_run_folder local
cd "$LUNAS_ROOT"
folder="$RUN_FOLDER"
service="deploy/local/service.sh"

profile="${LUNAS_PROFILE:-release}"
case "$profile" in release) built=release ;; dev) built=debug ;; *) die "LUNAS_PROFILE is release or dev" ;; esac
bin="$LUNAS_ROOT/target/$built"

say "building ($profile)"
run_step cargo build --quiet --profile "$profile" -p lunas-ingest -p lunas-worker -p lunas-scheduler \
  -p lunas-api -p lunas-ops
# Apart from the services: built together, they would get the fault points of the tests.
run_step cargo build --quiet --profile "$profile" -p lunas-tests --bins

if [ -z "${DATABASE_URL:-}" ]; then
  say "starting a private PostgreSQL"
  run_step "$service" start-postgres "$folder/postgres" >"$folder/postgres.out"
  server="$(sed -n 's/^url=//p' "$folder/postgres.out")"
  "$PG_BIN/psql" -q "$server" -c 'CREATE DATABASE lunas'
  DATABASE_URL="${server%/*}/lunas"
fi
if [ -z "${AMQP_URL:-}" ]; then
  say "starting a private RabbitMQ"
  run_step "$service" start-rabbitmq "$folder/rabbitmq" >"$folder/rabbitmq.out"
  AMQP_URL="$(sed -n 's/^url=//p' "$folder/rabbitmq.out")"
fi
export DATABASE_URL AMQP_URL

say "preparing database and broker"
run_step "$bin/lunas" migrate >"$folder/logs/prepare.log"
run_step "$bin/lunas" topology declare >>"$folder/logs/prepare.log"

start_fleet
say "playing orders"
run_step "$bin/lunas-play" --ingest "$INGEST_URL" --sim "$SIM_URL" --api "$API_URL" \
  --admin "$ADMIN_URL" --database-url "$DATABASE_URL"

[ "$once" = no ] || exit 0
show_places
wait_for_an_end
