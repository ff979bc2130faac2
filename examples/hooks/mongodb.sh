#!/bin/sh
# This hook locks MongoDB during a quiesced snapshot: /etc/vmtpy/hooks.d/50-mongodb.
#
# The agent calls it with `freeze`, then with `thaw` or `freezeFail`. The lock of db.fsyncLock() belongs
# to no session: it stays when the client has gone. So a process in the background unlocks when the limit
# is over, and when the agent has ended. docs/hooks-mongodb.md says what the hook is good for and what it
# costs. It needs mongosh.
#
# It reads these settings from the environment of the agent's service (defaults in parentheses):
#   VMTPY_MONGODB_CLIENT  the client and its options (mongosh --quiet)
#   VMTPY_MONGODB_LIMIT   the seconds for which MongoDB may stay locked (60)
#   VMTPY_MONGODB_STATE   the directory that exists while it is locked (/run/vmtpy-mongodb)
set -u
client=${VMTPY_MONGODB_CLIENT:-mongosh --quiet}
limit=${VMTPY_MONGODB_LIMIT:-60}
state=${VMTPY_MONGODB_STATE:-/run/vmtpy-mongodb}

unlock='let left; do { left = db.fsyncUnlock().lockCount } while (left > 0)'

# Runs JavaScript, and fails if that throws.
run() {
  # shellcheck disable=SC2086 # the client's options are words
  $client --eval "$1"
}

# Succeeds while the process exists and is no zombie.
lives() {
  case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) in
    "" | [ZX]*) return 1 ;;
  esac
}

# Runs the background process, which ends when `state` is gone, since the thaw unlocks then.
guard() {
  rounds=$((limit * 5))
  while [ $((rounds -= 1)) -ge 0 ] && lives "$PPID"; do
    sleep 0.2
    [ -d "$state" ] || return
  done
  # Only one of guard and thaw unlocks: the one that removes the directory.
  if rmdir "$state" 2>/dev/null; then
    echo "unlocked before the thaw: the limit of $limit s is over, or the agent has ended"
    run "$unlock"
  fi
}

case ${1:-} in
  freeze)
    # A directory that exists belongs to an earlier freeze, whose guard would unlock too early.
    mkdir -m 700 "$state" 2>/dev/null || {
      echo "$state is there: an earlier freeze is still held"
      exit 1
    }
    guard &
    if ! run 'if (db.fsyncLock().ok !== 1) quit(1)'; then
      run "$unlock" >/dev/null 2>&1
      rmdir "$state" 2>/dev/null
      echo "db.fsyncLock() has failed"
      exit 1
    fi
    [ -d "$state" ] || {
      echo "the limit of $limit s was over before it was locked"
      run "$unlock" >/dev/null 2>&1
      exit 1
    }
    ;;
  thaw | freezeFail)
    if rmdir "$state" 2>/dev/null; then
      run "$unlock"
    elif [ "$1" = thaw ]; then
      echo "it was unlocked before the thaw"
      exit 1
    fi
    ;;
  *)
    echo "usage: $0 freeze|thaw|freezeFail"
    exit 2
    ;;
esac
