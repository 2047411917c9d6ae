# shellcheck shell=bash
# A private PostgreSQL in a folder: own port on 127.0.0.1, own data, own password.
# Sourced by service.sh. The folder keeps service.env; starting again keeps port and data.

# The newest installed server, or Debian's after installing it.
postgres_find() {
  local candidate
  for candidate in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV) \
    "$(pg_config --bindir 2>/dev/null || true)"; do
    if [ -x "$candidate/initdb" ] && [ -x "$candidate/postgres" ]; then
      PG_BIN="$candidate"
      return 0
    fi
  done
  return 1
}

postgres_need() {
  postgres_find && return 0
  install_packages PostgreSQL postgresql
  postgres_find || die "PostgreSQL was installed but its initdb was not found"
}

# PostgreSQL refuses to run as root; then everything that touches its data runs as its own user.
postgres_as_owner() { (postgres_exec "$@"); }

# Becomes the command; called in a subshell, so that no shell stays behind a server.
postgres_exec() {
  cd /
  [ "$(id -u)" -ne 0 ] || set -- setpriv --reuid=postgres --regid=postgres --init-groups env HOME=/tmp "$@"
  exec "$@"
}

# Where the data lives: in the service's folder, or, when that lies below a path that the user
# postgres cannot enter (a checkout in root's home), in a folder of its own.
postgres_data_folder() { # folder
  local data="$1/data"
  mkdir -p "$data"
  if [ "$(id -u)" -eq 0 ]; then
    chown postgres: "$data"
    if ! postgres_as_owner test -w "$data" 2>/dev/null; then
      rmdir "$data"
      data="$(mktemp -d "${TMPDIR:-/tmp}/lunas-postgres.XXXXXX")"
      chown postgres: "$data"
      postgres_as_owner test -w "$data" 2>/dev/null || die "user postgres cannot write to $data"
    fi
  fi
  printf %s "$data"
}

# Makes a new cluster. --throwaway turns off waiting for the disk: a test kills processes, not the
# power, and what a killed process has written stays in the kernel's page cache.
postgres_create() { # folder [--throwaway]
  local folder="$1" data password
  data="$(postgres_data_folder "$folder")"
  take_port PG_PORT
  password="$(random_word)"
  # Written first, so that whoever is interrupted from here on can be cleaned up.
  printf 'KIND=postgres\nDATA=%q\nPG_PORT=%s\nURL=postgres://lunas:%s@127.0.0.1:%s/postgres\n' \
    "$data" "$PG_PORT" "$password" "$PG_PORT" >"$folder/service.env"
  chmod 700 "$data"
  # The password goes through a file: as an argument, every user of the machine could read it.
  printf '%s\n' "$password" | postgres_as_owner tee "$data/password" >/dev/null
  postgres_as_owner "$PG_BIN/initdb" --no-sync --username=lunas --auth=scram-sha-256 \
    --pwfile="$data/password" --encoding=UTF8 --locale=C.UTF-8 --pgdata="$data/cluster" \
    >"$folder/initdb.log" 2>&1 || { cat "$folder/initdb.log" >&2; return 1; }
  rm -f "$data/password"
  {
    echo "listen_addresses = '127.0.0.1'"
    echo "port = $PG_PORT"
    # The path of a socket may have 107 bytes at most, which a deep checkout exceeds; TCP is enough.
    echo "unix_socket_directories = ''"
    echo "max_connections = 400"
    echo "logging_collector = off"
    if [ "${2:-}" = --throwaway ]; then
      echo "fsync = off"
      echo "full_page_writes = off"
      echo "synchronous_commit = on"
    fi
  } | postgres_as_owner tee -a "$data/cluster/postgresql.conf" >/dev/null
}

postgres_start() { # folder [--throwaway]
  local folder="$1"
  mkdir -p "$folder"
  postgres_need
  [ -f "$folder/service.env" ] || postgres_create "$@"
  # shellcheck disable=SC1091
  . "$folder/service.env"
  touch "$folder/postgres.log"
  [ "$(id -u)" -ne 0 ] || chown postgres: "$folder/postgres.log"
  # The log is opened here, because its folder may be closed to the server's user; setsid keeps
  # the Ctrl-C of a terminal away from the server, which is stopped in its turn.
  (postgres_exec setsid "$PG_BIN/postgres" -D "$DATA/cluster") \
    </dev/null >>"$folder/postgres.log" 2>&1 &
  disown
  wait_for 60 "PostgreSQL on port $PG_PORT" postgres_ready "$folder" || {
    tail -n 20 "$folder/postgres.log" >&2
    return 1
  }
  printf 'url=%s\n' "$URL"
}

postgres_pid() { # reads DATA
  postgres_as_owner head -n 1 "$DATA/cluster/postmaster.pid" 2>/dev/null || true
}

# Ready means that the server says so in its pid file and lets a client in.
postgres_ready() {
  "$PG_BIN/pg_isready" -q -h 127.0.0.1 -p "$PG_PORT"
}

# Sends a signal: INT rolls back and ends, QUIT ends at once; KILL is a crash, STOP a freeze and
# CONT its end. The last three go to the children too, which would otherwise live on for a while.
postgres_signal() { # folder signal
  local pid children=""
  # shellcheck disable=SC1091
  . "$1/service.env"
  pid="$(postgres_pid)"
  process_alive "$pid" || return 0
  case "$2" in
    KILL | STOP | CONT) children="$(cat "/proc/$pid/task/$pid/children" 2>/dev/null || true)" ;;
  esac
  # shellcheck disable=SC2086
  kill -"$2" "$pid" $children 2>/dev/null || true
  case "$2" in STOP | CONT) return 0 ;; esac
  for pid in $pid $children; do
    wait_for 60 "PostgreSQL to end" process_gone "$pid"
  done
  # After a crash the server trusts this file as long as a process of that number exists, and a
  # zombie that nobody collects is one. Here every process of the server is known to have ended.
  rm -f "$DATA/cluster/postmaster.pid"
}

postgres_stop() { postgres_signal "$1" INT; }

postgres_destroy() { # folder
  # A frozen server hears nothing but KILL; the data goes anyway.
  postgres_signal "$1" KILL || true
  # shellcheck disable=SC1091
  . "$1/service.env"
  rm -rf "$DATA" "$1/service.env"
}
