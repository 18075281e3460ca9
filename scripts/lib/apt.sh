# shellcheck shell=bash
# Sourced after node.sh: installs Debian packages without questions, without starting a service, now or at the next
# boot, and without removing anything. What is there already is left as it is.

# A Postfix of the system's own would be of no use to us: tests and benchmarks start private ones.
readonly POSTFIX_ANSWERS='postfix postfix/main_mailer_type select Local only
postfix postfix/mailname string localhost.localdomain
postfix postfix/destinations string localhost.localdomain, localhost'

readonly POLICY=/usr/sbin/policy-rc.d
readonly POLICY_KEPT=/usr/sbin/policy-rc.d.kept-by-letterlock

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "this needs root or sudo: $*"
  fi
}

# has_command NAME: looks where daemons lie, too, which are not on every user's PATH.
has_command() {
  PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null
}

has_package() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Prints the installed package that is this machine's mail server, if there is one.
installed_mail_server() {
  # shellcheck disable=SC2016 # dpkg-query's own variables
  dpkg-query -W -f='${db:Status-Status} ${Package} ${Provides}\n' |
    awk '$1 == "installed" && / mail-transport-agent/ { print $2; exit }'
}

# policy-rc.d answers 101, "do not start", while packages are installed; a policy of the machine's own comes back.
forbid_service_starts() {
  trap restore_service_policy EXIT
  if [ -e "$POLICY" ] && [ ! -e "$POLICY_KEPT" ]; then as_root mv "$POLICY" "$POLICY_KEPT"; fi
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null
  as_root chmod 755 "$POLICY"
}

restore_service_policy() {
  as_root rm -f "$POLICY"
  if [ -e "$POLICY_KEPT" ]; then as_root mv "$POLICY_KEPT" "$POLICY"; fi
  trap - EXIT
}

# apt_install [--replace-mta] WANTED...
# WANTED is `command=package` (skipped when the command is there, whoever installed it) or a package's name.
apt_install() {
  local replace_mta=${LETTERLOCK_REPLACE_MTA:-} removal=--no-remove missing=() wanted package mail_server
  for wanted; do
    case $wanted in
      --replace-mta) replace_mta=1 ;;
      *=*) has_command "${wanted%%=*}" || missing+=("${wanted#*=}") ;;
      *) has_package "$wanted" || missing+=("$wanted") ;;
    esac
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  has_command apt-get || die "these programs are missing and this is no Debian to install them on: ${missing[*]}."

  if [[ " ${missing[*]} " == *' postfix '* ]]; then
    mail_server=$(installed_mail_server)
    if [ -n "$mail_server" ]; then
      [ -n "$replace_mta" ] ||
        die "installing postfix would remove this machine's mail server, $mail_server: say --replace-mta (or LETTERLOCK_REPLACE_MTA=1) if that is wanted."
      removal=
    fi
    as_root debconf-set-selections <<<"$POSTFIX_ANSWERS"
  fi

  echo "Installing from Debian: ${missing[*]}" >&2
  forbid_service_starts
  as_root apt-get update -qq >&2
  # shellcheck disable=SC2086 # $removal is one option or none
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $removal \
    -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 "${missing[@]}" >&2 ||
    die "apt-get could not install ${missing[*]}; its own message is above."
  restore_service_policy
  for package in "${missing[@]}"; do
    case $package in
      postfix | redis-*) as_root update-rc.d "$package" disable >&2 ;;
      dovecot-*) as_root update-rc.d dovecot disable >&2 ;;
    esac
  done
}
