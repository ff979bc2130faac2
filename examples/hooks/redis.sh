#!/bin/sh
# This hook has Redis or Valkey write its data before a quiesced snapshot: /etc/vmtpy/hooks.d/50-redis.
#
# The agent calls it with `freeze`, then with `thaw` or `freezeFail`. It locks nothing while the
# filesystems are frozen.
#   Without an append-only file  the hook has the server write a new dump (BGSAVE), and waits for it.
#   With an append-only file     that file holds all that the server has acknowledged. Where the server
#                                has WAITAOF (7.2 and later), the hook also waits until what was
#                                acknowledged until now is on the disk.
# docs/hooks-redis.md says what the hook is good for and what it costs. It needs redis-cli.
#
# It reads these settings from the environment of the agent's service (defaults in parentheses):
#   VMTPY_REDIS_CLIENT  the client and its options (redis-cli); REDISCLI_AUTH has the password
#   VMTPY_REDIS_LIMIT   the seconds that the hook may take (50); [hooks] timeout must be more
set -u
client=${VMTPY_REDIS_CLIENT:-redis-cli}
limit=${VMTPY_REDIS_LIMIT:-50}

fail() {
  echo "$*"
  exit 1
}

# Prints the server's answer to one command.
ask() {
  # shellcheck disable=SC2086 # the client's options are words
  $client "$@" 2>&1 | tr -d '\r'
}

# Prints one field of `INFO persistence`, or nothing if the server does not have it.
field() {
  ask INFO persistence | sed -n "s/^$1://p"
}

# Waits a little, and fails when the limit is over.
pause() {
  [ "$(date +%s)" -lt "$end" ] || fail "$* after $limit s"
  sleep 0.1
}

save() {
  # The server answers with an error while it writes another dump or the append-only file.
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
  # WAITAOF waits for the writes of its own connection, and so for all writes before them.
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
