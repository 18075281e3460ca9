# shellcheck shell=bash
# Sourced after node.sh: compiles src/ into dist/ when something in it is newer than the last build.

# The lock keeps programs that start side by side from writing the same files. Nothing goes to stdout.
build_when_stale() {
  mkdir -p "$root/dist"
  exec 9>"$root/dist/.lock"
  flock 9
  if is_stale; then
    (cd "$root" && tsc -p tsconfig.build.json) >&2 || die 'src/ does not compile; the messages above say where.'
    touch "$root/dist/.built"
  fi
  exec 9>&-
}

# Directories count too: they are newer when a file was removed.
is_stale() {
  [ ! -f "$root/dist/.built" ] ||
    [ -n "$(find "$root/src" "$root/package.json" "$root"/tsconfig*.json -newer "$root/dist/.built" -print -quit)" ]
}

build_when_stale
