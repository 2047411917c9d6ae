#!/usr/bin/env bash
# Every check of the project against real services: format, lints, documentation, the committed
# query metadata, then all tests with one private PostgreSQL and one private RabbitMQ.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../deploy/local/lib.sh"
. "$LUNAS_ROOT/deploy/local/postgres.sh"
. "$LUNAS_ROOT/deploy/local/rabbitmq.sh"

usage() {
  cat <<'HELP'
usage: tests/run.sh [--fast] [TEST RUNNER ARGUMENTS]

  --fast   only the tests: no format, lint, documentation and metadata checks

The other arguments go to the test runner (cargo nextest when it is installed, else cargo test):
tests/run.sh --fast duplicates runs the tests with that word in their name.
HELP
}

fast=no
case "${1:-}" in
  --help | -h) usage; exit 0 ;;
  --fast) fast=yes; shift ;;
esac

# Nothing is printed here: the last lines belong to the test runner's summary.
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
# Some tests give a process a wrong clock.
need_command faketime faketime
make_run_folder test
cd "$LUNAS_ROOT"

check() { # what command...
  say "$1"
  shift
  run_step "$@" || die "failed: $*"
}

if [ "$fast" = no ]; then
  check "format" cargo fmt --all --check
  check "query metadata" deploy/local/sqlx-prepare.sh --check
  check "lints" cargo clippy --quiet --workspace --all-targets -- -D warnings
  check "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps
fi

# All programs in one go, so that the services get the fault points that the tests use.
check "building the programs" cargo build --quiet --workspace --bins

say "starting a private PostgreSQL and a private RabbitMQ"
run_step deploy/local/service.sh start-postgres "$RUN_FOLDER/postgres" --throwaway >"$RUN_FOLDER/postgres.out"
run_step deploy/local/service.sh start-rabbitmq "$RUN_FOLDER/rabbitmq" >"$RUN_FOLDER/rabbitmq.out"
LUNAS_TEST_FOLDER="$RUN_FOLDER"
LUNAS_TEST_DATABASE_URL="$(sed -n 's/^url=//p' "$RUN_FOLDER/postgres.out")"
LUNAS_TEST_AMQP_URL="$(sed -n 's/^url=//p' "$RUN_FOLDER/rabbitmq.out")"
LUNAS_TEST_RABBIT_API="$(sed -n 's/^api=//p' "$RUN_FOLDER/rabbitmq.out")"
export LUNAS_TEST_FOLDER LUNAS_TEST_DATABASE_URL LUNAS_TEST_AMQP_URL LUNAS_TEST_RABBIT_API

say "tests"
if cargo nextest --version >/dev/null 2>&1; then
  [ "$fast" = yes ] || check "documentation examples" cargo test --quiet --workspace --doc
  run_step cargo nextest run --workspace "$@"
else
  run_step cargo test --workspace --no-fail-fast "$@"
fi
