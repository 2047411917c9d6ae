# shellcheck shell=bash
# Starts, watches and stops the processes of the fleet for run.sh, which sources this file.
# Needs: folder (of the run), bin (of the programs), DATABASE_URL, AMQP_URL.

FLEET_NAMES=()
FLEET_PIDS=()

# Starts one process in a session of its own, so that Ctrl-C reaches only this script, which stops
# the fleet in order; returns when the check succeeds.
start_process() { # name check command...
  local name="$1" check="$2" pid
  shift 2
  setsid "$@" </dev/null >"$folder/logs/$name.log" 2>&1 &
  pid=$!
  FLEET_NAMES+=("$name")
  FLEET_PIDS+=("$pid")
  echo "$pid" >>"$folder/pids"
  # shellcheck disable=SC2086
  wait_for 60 "$name to be ready" ready_or_ended "$pid" $check
  process_alive "$pid" || die "$name ended while starting"
}

ready_or_ended() { # pid check...
  local pid="$1"
  shift
  process_gone "$pid" || "$@"
}

says_ready() { curl -sf -o /dev/null --max-time 2 "$1"; }

# Everything on free ports, with keys and tokens made up for this run.
start_fleet() {
  local key health port number
  key="SB-Mid-server-$(random_word)"
  SHOP_TOKEN="$(random_word)$(random_word)"
  OPERATOR_TOKEN="$(random_word)$(random_word)"
  take_port port; SIM_URL="http://127.0.0.1:$port"
  take_port port; INGEST_URL="http://127.0.0.1:$port"
  take_port port; API_URL="http://127.0.0.1:$port"
  take_port port; ADMIN_URL="http://127.0.0.1:$port"
  export MIDTRANS_SERVER_KEY="$key" MIDTRANS_API_URL="$SIM_URL" MIDTRANS_SNAP_URL="$SIM_URL/snap/v1"
  export INGEST_ADDR="${INGEST_URL#http://}" API_ADDR="${API_URL#http://}" ADMIN_ADDR="${ADMIN_URL#http://}"
  export API_TOKENS="play:shop:$(digest "$SHOP_TOKEN"),operator:operator:$(digest "$OPERATOR_TOKEN")"
  export LUNAS_SHOP_TOKEN="$SHOP_TOKEN" LUNAS_OPERATOR_TOKEN="$OPERATOR_TOKEN"
  # All orders are played at once, and the simulator has no limit.
  export MIDTRANS_RPS="${MIDTRANS_RPS:-500}"
  # What is never told is found within seconds here, not minutes.
  export RECONCILE_AFTER="${RECONCILE_AFTER:-5s}"
  export JOB_INTERVALS="${JOB_INTERVALS:-reconcile_status=2s,reconcile_links=5s,expire_orders=5s}"
  export LOG_FORMAT="${LOG_FORMAT:-text}"

  say "starting the simulator and the fleet"
  start_process midtrans-sim "port_answers ${SIM_URL##*:}" "$bin/midtrans-sim" --addr "${SIM_URL#http://}" \
    --server-key "$key" --notify-url "$INGEST_URL/webhooks/midtrans" --time-scale 600 --expiry-scale 1
  start_service ingest lunas-ingest
  for number in 1 2; do start_service "worker-$number" lunas-worker; done
  start_service scheduler lunas-scheduler
  start_service api lunas-api
}

start_service() { # name program
  local health
  take_port health
  HEALTH_ADDR="127.0.0.1:$health" start_process "$1" "says_ready http://127.0.0.1:$health/readyz" "$bin/$2"
}

digest() { printf %s "$1" | sha256sum | cut -d' ' -f1; }

# Stops in the reverse order of the start; a process that does not end within its 20 s is killed,
# and that is said.
stop_fleet() {
  local index pid
  for ((index = ${#FLEET_PIDS[@]} - 1; index >= 0; index--)); do
    pid="${FLEET_PIDS[$index]}"
    process_alive "$pid" || continue
    kill -TERM "$pid" 2>/dev/null || true
    wait_for 25 "${FLEET_NAMES[$index]} to end" process_gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
  done
}

# The last lines of every log, for a run that failed.
show_logs() {
  local log
  for log in "${folder:-/nonexistent}"/logs/*.log; do
    [ -s "$log" ] || continue
    printf -- '---- %s\n' "${log#"$LUNAS_ROOT/"}" >&2
    tail -n 15 "$log" >&2
  done
}

show_places() {
  cat <<PLACES

  notifications  $INGEST_URL/webhooks/midtrans
  shop API       $API_URL        token $SHOP_TOKEN
  operators      $ADMIN_URL/admin/summary        token $OPERATOR_TOKEN
  simulator      $SIM_URL/sim
  database       $DATABASE_URL
  broker         $AMQP_URL
  logs           ${folder#"$LUNAS_ROOT/"}/logs/

  for the shop of README.md:
  export SHOP=$API_URL ADMIN=$ADMIN_URL SIM=$SIM_URL
  export TOKEN=$SHOP_TOKEN OPERATOR_TOKEN=$OPERATOR_TOKEN

  Ctrl-C stops everything.
PLACES
}

# Waits for a signal; ends in error when a process of the fleet ends by itself.
wait_for_an_end() {
  wait -n "${FLEET_PIDS[@]}" || true
  die "a process of the fleet ended by itself; see ${folder#"$LUNAS_ROOT/"}/logs/"
}
