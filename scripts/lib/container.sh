# shellcheck shell=bash
# Sourced after node.sh and apt.sh: an image and a container of it without a container engine. The container has the
# bounds that the image is made for, whatever engine runs it: its own user, no capability, no new privileges, a root file
# system that is read-only, its volumes, and process 1. The network is the host's.

readonly IMAGE=localhost/letterlock:local
readonly BASE_IMAGE=localhost/debian:bookworm-slim
readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/letterlock/image

# vfs and chroot isolation work where overlay file systems, cgroups and seccomp do not.
with_buildah() {
  buildah --root "$CACHE/store" --runroot /run/letterlock-image --storage-driver vfs "$@"
}

# Debian's smallest system, from the first of apt's mirrors that has it, with all of apt's sources of that release.
make_base() {
  local sources mirror container rootfs=$CACHE/rootfs
  if with_buildah inspect --type image "$BASE_IMAGE" >/dev/null 2>&1; then return; fi
  # shellcheck disable=SC2016 # apt's own variables
  sources=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
    sed -nE 's/ (bookworm[a-z-]*)$/ \1 main/p' | sort -u)
  mirror=$(awk '$2 == "bookworm" { print $1; exit }' <<<"$sources")
  [ -n "$mirror" ] || die "the sources of this machine's apt name no mirror that has bookworm."
  echo "Making the base with debootstrap"
  rm -rf "$rootfs"
  mkdir -p "$rootfs"
  debootstrap --variant=minbase bookworm "$rootfs" "$mirror" >"$CACHE/debootstrap.log" 2>&1 ||
    die "debootstrap failed; $CACHE/debootstrap.log says why."
  sed 's/^/deb /' <<<"$sources" >"$rootfs/etc/apt/sources.list"
  rm -rf "$rootfs"/var/cache/apt/*.bin "$rootfs"/var/cache/apt/archives/*.deb "$rootfs"/var/lib/apt/lists/*
  container=$(with_buildah from scratch)
  with_buildah add --quiet "$container" "$rootfs" / >/dev/null
  with_buildah commit --quiet "$container" "$BASE_IMAGE" >/dev/null
  with_buildah rm "$container" >/dev/null
  rm -rf "$rootfs"
}

# build_image OPTIONS...: the Dockerfile's image from this checkout, in place of the one before.
build_image() {
  echo "Building $IMAGE with $(with_buildah --version | cut -d' ' -f1-3)"
  with_buildah build --isolation chroot --format docker --build-arg "BASE=$BASE_IMAGE" --tag "$IMAGE" "$@" "$root"
  with_buildah rmi --prune >/dev/null
}

# Sets $files, the directory that has the image's files, until end_container.
open_image() {
  [ -z "${files:-}" ] || return 0
  working_container=$(with_buildah from "$IMAGE") || die 'there is no image: scripts/image build makes it.'
  files=$(with_buildah mount "$working_container")
}

# configured PATH: what the image says there, an item a line: `config.Env`.
configured() {
  with_buildah inspect --type image "$IMAGE" |
    node -p '[process.argv[1].split(".").reduce((at, name) => at[name], JSON.parse(require("fs").readFileSync(0)).Docker)]
      .flat().join("\n")' "$1"
}

# start_container STATE [NAME=VALUE ...] -- ARGUMENTS...
# In the background. Sets $container_job, which ends with the container's exit code, and $container_pid, its process 1.
start_container() {
  local state=$1
  shift
  mapfile -t container_environment < <(configured config.Env)
  while [ "$1" != -- ]; do
    container_environment+=("$1")
    shift
  done
  shift
  mkdir -p "$state/data" "$state/keys" "$state/config"
  user=$(configured config.User)
  chown "$user" "$state/data" "$state/keys"
  mapfile -t entrypoint < <(configured config.Entrypoint)
  unshare --mount --pid --fork --kill-child bash -euc '
    files=$1 state=$2
    shift 2
    mount --bind "$files" "$files"
    mount --bind "$state/data" "$files/var/lib/letterlock"
    mount --bind "$state/keys" "$files/var/lib/letterlock-keys"
    mount --bind "$state/config" "$files/etc/letterlock"
    mount -t proc -o nosuid,nodev,noexec proc "$files/proc"
    mount --bind /dev "$files/dev"
    mount -o remount,bind,ro "$files/etc/letterlock"
    mount -o remount,bind,ro "$files"
    exec "$@"
  ' container "$files" "$state" "${UNPRIVILEGED[@]/FILES/$files}" --reuid "${user%:*}" --regid "${user#*:}" \
    env --ignore-environment "${container_environment[@]}" "${entrypoint[@]}" "$@" &
  container_job=$!
  until container_pid=$(pgrep -P "$container_job"); do kill -0 "$container_job" || die 'the container did not start.'; done
}

# As an engine does it: no capability, and no way to one.
readonly UNPRIVILEGED=(chroot FILES setpriv --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs)

# in_container COMMAND...: what `docker exec` does.
in_container() {
  nsenter --target "$container_pid" --mount --pid --root setpriv --clear-groups --bounding-set=-all \
    --inh-caps=-all --no-new-privs --reuid "${user%:*}" --regid "${user#*:}" \
    env --ignore-environment --chdir=/ "${container_environment[@]}" "$@"
}

end_container() {
  if [ -n "${container_job:-}" ] && kill -KILL "$container_job" 2>/dev/null; then wait "$container_job" || true; fi
  [ -z "${working_container:-}" ] || with_buildah rm "$working_container" >/dev/null
}
