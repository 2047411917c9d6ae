# shellcheck shell=bash
# What the local scripts share: messages, prerequisites, free ports, bounded waits, run folders.
# Sourced, never run. Starting and stopping a service is in postgres.sh and rabbitmq.sh.

LUNAS_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Runs a command as root: directly, or through sudo.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Installs Debian packages; on a system without apt it says what is needed instead.
install_packages() {
  local what="$1"
  shift
  if ! command -v apt-get >/dev/null; then
    die "$what is missing and this system has no apt-get. Install it ($*), or set DATABASE_URL and AMQP_URL to running services."
  fi
  if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
    die "$what is missing. Run as root: apt-get install $*; or set DATABASE_URL and AMQP_URL to running services."
  fi
  say "installing $what ($*)"
  as_root apt-get update -qq >&2
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2 ||
    die "could not install $*"
}

need_command() { # command package
  command -v "$1" >/dev/null || install_packages "$1" "$2"
}

need_rust() {
  command -v cargo >/dev/null || [ ! -x "$HOME/.cargo/bin/cargo" ] || PATH="$HOME/.cargo/bin:$PATH"
  command -v cargo >/dev/null || die "cargo is missing: install Rust with rustup (https://rustup.rs)"
  command -v cc >/dev/null || install_packages "a C compiler" gcc libc6-dev
}

# Takes a free port of 127.0.0.1 into the variable named $1. The range lies below the ephemeral
# ports, so no outgoing connection can sit on it. The file lock keeps it for this process and the
# service started from it, so that two runs that choose at the same moment choose differently.
take_port() {
  local _locks="${TMPDIR:-/tmp}/lunas-ports-$(id -u)" _port _lock _
  mkdir -p -m 700 "$_locks"
  for _ in $(seq 200); do
    _port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    exec {_lock}>"$_locks/$_port"
    if flock -n "$_lock" && ! (exec 3<>"/dev/tcp/127.0.0.1/$_port") 2>/dev/null; then
      printf -v "$1" %s "$_port"
      return 0
    fi
    exec {_lock}>&-
  done
  die "no free port found on 127.0.0.1"
}

port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Waits until a command succeeds, at most so many seconds; says what was awaited when it did not.
wait_for() { # seconds what command...
  local bound="$1" what="$2" end
  shift 2
  end=$((SECONDS + bound))
  until "$@"; do
    if [ "$SECONDS" -ge "$end" ]; then
      printf 'error: waited %s s for %s\n' "$bound" "$what" >&2
      return 1
    fi
    sleep 0.05
  done
}

# A zombie counts as ended: in a container the first process may never collect it.
process_alive() {
  [ -n "${1:-}" ] && kill -0 "$1" 2>/dev/null && ! grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"
}
process_gone() { ! process_alive "$1"; }

# Runs a long step so that a signal to the script is heard at once and ends the step with all of
# its children: a foreground command would make bash wait for it first.
STEP=""
run_step() {
  local code=0
  setsid "$@" &
  STEP=$!
  wait "$STEP" || code=$?
  STEP=""
  return "$code"
}

stop_step() {
  [ -n "$STEP" ] || return 0
  kill -TERM -- "-$STEP" 2>/dev/null || true
  wait_for 30 "the interrupted step to end" process_gone "$STEP" || kill -KILL -- "-$STEP" 2>/dev/null || true
}

random_word() { od -An -N12 -tx1 /dev/urandom | tr -d ' \n'; }

# Makes the folder of this run below target/, named by the moment and the process, and removes
# what killed runs left: their services are stopped and their folders deleted.
make_run_folder() { # kind (local or test)
  local base="$LUNAS_ROOT/target/$1" old owner
  mkdir -p "$base"
  for old in "$base"/*/; do
    owner="$(cat "$old/owner" 2>/dev/null || true)"
    if [ -n "$owner" ] && process_gone "$owner"; then
      stop_everything_in "$old"
      rm -rf "$old"
    fi
  done
  RUN_FOLDER="$base/$(date +%m%d-%H%M%S)-$$"
  mkdir -p "$RUN_FOLDER/logs"
  echo "$$" >"$RUN_FOLDER/owner"
}

# Ends what belongs to the folder of a run: the processes listed in its file pids, as far as they
# still are programs of this checkout, and every private service whose folder lies below it.
stop_everything_in() {
  local pid mark
  while read -r pid; do
    if process_alive "$pid" && grep -qsF "$LUNAS_ROOT/target" "/proc/$pid/cmdline"; then
      kill -KILL "$pid" 2>/dev/null || true
    fi
  done < <(cat "$1/pids" 2>/dev/null)
  while IFS= read -r mark; do
    "$LUNAS_ROOT/deploy/local/service.sh" destroy "$(dirname "$mark")" || true
  done < <(find "$1" -name service.env -type f 2>/dev/null)
}
