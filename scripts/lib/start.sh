# shellcheck shell=bash
# Sourced after node.sh: compiles what needs it and becomes Letterlock.

. "$root/scripts/lib/build.sh"

# start_letterlock ARGUMENTS...
# Message octets are short-lived buffers outside of V8's heap, where a large young generation keeps them long after
# they died, and each of glibc's arenas keeps what it once had. Under 20 busy connections the two limits are worth
# 110 MB of 345, and cost no speed (bench/soak).
start_letterlock() {
  export MALLOC_ARENA_MAX=2
  exec node --max-semi-space-size=8 "$root/dist/main.js" "$@"
}
