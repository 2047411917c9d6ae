#!/usr/bin/env bash
# The one way to start and stop a private PostgreSQL or RabbitMQ: for run.sh, for the test suite
# and for tests that kill their own. Everything of a service is in its folder.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$LUNAS_ROOT/deploy/local/postgres.sh"
. "$LUNAS_ROOT/deploy/local/rabbitmq.sh"

usage() {
  cat <<'HELP'
usage: deploy/local/service.sh COMMAND FOLDER

  start-postgres FOLDER [--throwaway]  start (or start again) a private PostgreSQL; prints url=
  start-rabbitmq FOLDER                the same for RabbitMQ; prints url= and api=
  stop FOLDER                          end it in an orderly way and keep its data
  kill FOLDER                          end it as a crash does (SIGKILL) and keep its data
  pause FOLDER | resume FOLDER         freeze it (SIGSTOP) and let it go on
  rabbitmqctl FOLDER ARGUMENT...       rabbitmqctl of that node
  destroy FOLDER                       end it and delete its data
HELP
}

# Reads which kind of service the folder holds.
kind_of() {
  [ -f "$1/service.env" ] || die "there is no service in $1"
  (. "$1/service.env" && printf %s "$KIND")
}

command="${1:-}"
[ "$#" -ge 2 ] || { usage >&2; exit 2; }
mkdir -p "$2"
folder="$(cd "$2" && pwd)"
shift 2
umask 077
case "$command" in
  stop | kill | pause | resume | destroy) kind="$(kind_of "$folder")" ;;
esac
case "$command" in
  start-postgres) postgres_start "$folder" "$@" ;;
  start-rabbitmq) rabbitmq_start "$folder" "$@" ;;
  stop) "${kind}_stop" "$folder" ;;
  kill) "${kind}_signal" "$folder" KILL ;;
  pause) "${kind}_signal" "$folder" STOP ;;
  resume) "${kind}_signal" "$folder" CONT ;;
  destroy) "${kind}_destroy" "$folder" ;;
  rabbitmqctl) rabbitmq_ctl "$folder" "$@" ;;
  *) usage >&2; exit 2 ;;
esac
