# shellcheck shell=bash
# A private RabbitMQ node in a folder: own ports on 127.0.0.1, own data, cookie, password and name
# server (epmd). Sourced by service.sh. Starting again in the same folder keeps ports and data.

RABBIT_BIN=/usr/lib/rabbitmq/bin

# The programs below $RABBIT_BIN are called directly: Debian's wrappers on the PATH change to the
# user rabbitmq, lose HOME with the private cookie and then reach no private node.
rabbitmq_need() {
  [ -x "$RABBIT_BIN/rabbitmq-server" ] || install_packages RabbitMQ rabbitmq-server
  [ -x "$RABBIT_BIN/rabbitmq-server" ] || die "RabbitMQ was installed but $RABBIT_BIN is missing"
  command -v curl >/dev/null || install_packages curl curl
}

rabbitmq_create() { # folder
  local folder="$1" port dist api metrics epmd password
  take_port port
  take_port dist
  take_port api
  take_port metrics
  take_port epmd
  password="$(random_word)"
  mkdir -p "$folder/home" "$folder/db" "$folder/log" "$folder/gen"
  random_word >"$folder/home/.erlang.cookie"
  # Erlang refuses a cookie that anyone else could read.
  chmod 400 "$folder/home/.erlang.cookie"
  echo '[rabbitmq_management,rabbitmq_prometheus].' >"$folder/enabled_plugins"
  cat >"$folder/rabbitmq.conf" <<CONF
listeners.tcp.default = 127.0.0.1:$port
management.tcp.ip = 127.0.0.1
management.tcp.port = $api
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = $metrics
default_user = lunas
default_pass = $password
disk_free_limit.absolute = 200MB
log.console = false
CONF
  {
    printf 'KIND=rabbitmq\nRABBIT_PORT=%s\nDIST_PORT=%s\nEPMD_PORT=%s\n' "$port" "$dist" "$epmd"
    printf 'METRICS_PORT=%s\nURL=amqp://lunas:%s@127.0.0.1:%s/%%2f\n' "$metrics" "$password" "$port"
    printf 'API=http://lunas:%s@127.0.0.1:%s\n' "$password" "$api"
  } >"$folder/service.env"
}

# Becomes a program of RabbitMQ with the environment of the private node and nothing of the
# system's; called in a subshell, so that no shell stays behind a node.
rabbitmq_exec() { # folder command...
  local folder="$1"
  shift
  # shellcheck disable=SC1091
  . "$folder/service.env"
  exec env -i PATH="$PATH" LANG=C.UTF-8 HOME="$folder/home" \
    ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="$EPMD_PORT" \
    RABBITMQ_NODENAME="lunas$RABBIT_PORT@localhost" RABBITMQ_CONF_ENV_FILE=/dev/null \
    RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT="$RABBIT_PORT" \
    RABBITMQ_DIST_PORT="$DIST_PORT" RABBITMQ_MNESIA_BASE="$folder/db" \
    RABBITMQ_LOG_BASE="$folder/log" RABBITMQ_CONFIG_FILE="$folder/rabbitmq.conf" \
    RABBITMQ_GENERATED_CONFIG_DIR="$folder/gen" RABBITMQ_PID_FILE="$folder/pid" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$folder/enabled_plugins" \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" \
    RABBITMQ_CTL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" "$@"
}

rabbitmq_ctl() { # folder arguments...
  local folder="$1"
  shift
  (rabbitmq_exec "$folder" "$RABBIT_BIN/rabbitmqctl" "$@")
}

rabbitmq_start() { # folder
  local folder="$1"
  rabbitmq_need
  [ -f "$folder/service.env" ] || rabbitmq_create "$folder"
  # shellcheck disable=SC1091
  . "$folder/service.env"
  rabbitmq_start_epmd "$folder"
  rm -f "$folder/pid"
  # setsid keeps the Ctrl-C of a terminal away from the node, which is stopped in its turn.
  (rabbitmq_exec "$folder" setsid "$RABBIT_BIN/rabbitmq-server") </dev/null >>"$folder/boot.log" 2>&1 &
  echo "$!" >"$folder/script.pid"
  disown
  # The AMQP port opens last; the management and metrics ports answer by then.
  wait_for 90 "RabbitMQ on port $RABBIT_PORT" port_answers "$RABBIT_PORT" || {
    tail -n 20 "$folder/boot.log" "$folder"/log/*.log >&2
    return 1
  }
  printf 'url=%s\napi=%s\n' "$URL" "$API"
}

# Starts the node's name server in the foreground of its own session: left to the node it would
# become a daemon that outlives it and that nobody could name.
rabbitmq_start_epmd() { # folder; reads EPMD_PORT
  process_alive "$(cat "$1/epmd.pid" 2>/dev/null)" && return 0
  env ERL_EPMD_ADDRESS=127.0.0.1 setsid "$(rabbitmq_epmd)" -port "$EPMD_PORT" \
    </dev/null >>"$1/boot.log" 2>&1 &
  echo "$!" >"$1/epmd.pid"
  disown
  wait_for 10 "epmd on port $EPMD_PORT" port_answers "$EPMD_PORT"
}

rabbitmq_epmd() {
  command -v epmd || ls /usr/lib/erlang/erts-*/bin/epmd | head -n 1
}

# Sends a signal to the node: TERM ends it in order, KILL is a crash, STOP a freeze, CONT its end.
rabbitmq_signal() { # folder signal
  local pid
  pid="$(cat "$1/pid" 2>/dev/null || true)"
  process_alive "$pid" || return 0
  kill -"$2" "$pid" 2>/dev/null || true
  case "$2" in
    STOP | CONT) ;;
    *)
      wait_for 60 "RabbitMQ to end" process_gone "$pid"
      wait_for 10 "RabbitMQ's start script to end" process_gone "$(cat "$1/script.pid")"
      ;;
  esac
}

rabbitmq_stop() { rabbitmq_signal "$1" TERM; }

# An orderly stop takes RabbitMQ 3.10 six seconds; data that is deleted next needs none.
rabbitmq_destroy() { # folder
  local epmd
  rabbitmq_signal "$1" KILL || true
  epmd="$(cat "$1/epmd.pid" 2>/dev/null || true)"
  process_gone "$epmd" || kill -TERM "$epmd" 2>/dev/null || true
  rm -rf "$1/home" "$1/db" "$1/gen" "$1/service.env"
}
