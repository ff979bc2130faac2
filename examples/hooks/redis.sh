#!/bin/sh
# Redis or Valkey before a quiesced snapshot, as /etc/vmtpy/hooks.d/50-redis.
#
# Called with `freeze`, then `thaw` or `freezeFail`. Holds nothing while the filesystems are frozen:
#   without an append-only file  a new dump (BGSAVE) is written, and waited for;
#   with one                     it holds all that is acknowledged; where the server has WAITAOF (7.2
#                                and later), what was acknowledged until now is on the disk as well.
# What that is good for and what it costs: docs/hooks-redis.md. Needs redis-cli.
#
# Settings, from the environment of the agent's service:
#   VMTPY_REDIS_CLIENT  the client and its options (redis-cli); REDISCLI_AUTH has the password
#   VMTPY_REDIS_LIMIT   seconds for all of it (50); [hooks] timeout must be more
set -u
client=${VMTPY_REDIS_CLIENT:-redis-cli}
limit=${VMTPY_REDIS_LIMIT:-50}

fail() {
  echo "$*"
  exit 1
}

# What the server answers to one command.
ask() {
  # shellcheck disable=SC2086 # the client's options are words
  $client "$@" 2>&1 | tr -d '\r'
}

# One field of `INFO persistence`, "" without it.
field() {
  ask INFO persistence | sed -n "s/^$1://p"
}

# Waits a little. Fails when the limit is over.
pause() {
  [ "$(date +%s)" -lt "$end" ] || fail "$* after $limit s"
  sleep 0.1
}

save() {
  # It answers with an error while another dump or the append-only file is being written.
  while answer=$(ask BGSAVE); do
    case $answer in
      *started*) break ;;
      *progress* | *rewrit*) pause "BGSAVE: $answer" ;;
      *) fail "BGSAVE: $answer" ;;
    esac
  done
  while [ "$(field rdb_bgsave_in_progress)" != 0 ]; do
    pause "BGSAVE has not ended"
  done
  [ "$(field rdb_last_bgsave_status)" = ok ] || fail "BGSAVE has failed; the server's log says why"
}

flush() {
  [ "$(field aof_last_write_status)" = ok ] || fail "the append-only file cannot be written"
  # WAITAOF waits for writes of its own connection, and with them for all before.
  # shellcheck disable=SC2086
  answer=$(printf 'SET vmtpy:freeze 1 EX 3600\nWAITAOF 1 0 %d000\n' "$limit" | $client 2>&1 |
    tr -d '\r' | tail -n +2)
  case $answer in
    1*) ;;
    *"unknown command"*) ;;
    *) fail "WAITAOF: $answer" ;;
  esac
}

case ${1:-} in
  freeze)
    end=$(($(date +%s) + limit))
    case $(field aof_enabled) in
      0) save ;;
      1) flush ;;
      *) fail "INFO persistence: $(ask INFO persistence | head -n 1)" ;;
    esac
    ;;
  thaw | freezeFail) ;;
  *)
    echo "usage: $0 freeze|thaw|freezeFail"
    exit 2
    ;;
esac
