# shellcheck shell=bash
# Sourced by scripts/image test, after container.sh: from a start to a message read back, and to the end. What the image
# promises of its bounds is looked up in the running process.

readonly DOMAIN=example.test ADDRESS=alice@example.test

try_image() {
  local state=$scratch/state message=$scratch/message ready url key access
  refuse_extras
  mkdir -p "$state/config"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -out "$state/config/certificate.pem" -keyout "$state/config/key.pem" 2>/dev/null
  chmod 644 "$state/config/key.pem"

  redis-server --bind 127.0.0.1 --port 6379 --save '' --appendonly no --dir "$scratch" >"$scratch/redis.log" &
  redis_pid=$!
  coproc KMS { exec node "$root/test/keys/kms-endpoint/main.ts" --key 1234abcd-12ab-34cd-56ef-1234567890ab; }
  trap 'kill "$KMS_PID" "$redis_pid" 2>/dev/null; end_container; rm -rf "$scratch"' EXIT
  read -r ready <&"${KMS[0]}"
  read -r url key access < <(node -p 'const { url, keys, accessKeyId } = JSON.parse(process.argv[1]);
    [url, keys[0], accessKeyId].join(" ")' "$ready")

  step 'Starting the image'
  start_container "$state" LETTERLOCK_HOSTNAME=localhost \
    LETTERLOCK_TLS_CERTIFICATE_FILE=/etc/letterlock/certificate.pem LETTERLOCK_TLS_KEY_FILE=/etc/letterlock/key.pem \
    LETTERLOCK_KEYS_SERVICE=aws "LETTERLOCK_KEYS_AWS_KEY_ID=$key" "LETTERLOCK_KEYS_AWS_ENDPOINT=$url" \
    "AWS_ACCESS_KEY_ID=$access" AWS_SECRET_ACCESS_KEY=secret LETTERLOCK_REDIS_URL=redis://127.0.0.1:6379 -- serve
  await_health
  check_bounds

  step 'Making an organization, a domain and a user'
  in_container letterlock org create Example
  in_container letterlock domain create "$DOMAIN"
  in_container letterlock user create "$ADDRESS" <<<'correct horse'

  step 'Sending a message and reading it back'
  printf 'From: bob@elsewhere.test\r\nTo: %s\r\nSubject: From outside\r\n\r\nHello\r\n' "$ADDRESS" >"$message"
  curl --silent --show-error --url smtp://localhost:2025/client.test --mail-from bob@elsewhere.test \
    --mail-rcpt "$ADDRESS" --upload-file "$message"
  curl --silent --show-error --cacert "$state/config/certificate.pem" --user "$ADDRESS:correct horse" \
    --url 'imaps://localhost:2993/INBOX;MAILINDEX=*' | tee "$scratch/read" | grep '^Subject: From outside' ||
    die 'the message that was sent is not what was read.'
  tail -c "$(wc -c <"$message")" "$scratch/read" | cmp - "$message"
  redis-cli --scan --pattern 'letterlock:1:lease:*' | grep -q . || die 'the lease is not in Redis.'

  step 'Stopping it by SIGTERM'
  kill -TERM "$container_pid"
  wait "$container_job" || die "it ended with $?, not with 0."
  container_job=
  echo 'The image works: it ended with 0.'
}

step() {
  echo "== $1"
}

refuse_extras() {
  local extra
  for extra in usr/bin/npm usr/bin/node usr/bin/gcc usr/bin/ld usr/bin/curl root/.npmrc opt/letterlock/.npmrc run/secrets/ca \
    opt/letterlock/src opt/letterlock/node_modules/typescript opt/letterlock/node_modules/mocha; do
    [ ! -e "$files/$extra" ] || [ ! -s "$files/$extra" ] || die "the image has /$extra."
  done
}

# The image's own HEALTHCHECK, within its start period.
await_health() {
  local deadline=$((SECONDS + ${HEALTH_SECONDS:-60})) check
  check=$(configured config.Healthcheck.Test | tail -n +2)
  # shellcheck disable=SC2086 # words of the command
  until in_container $check &>"$scratch/health"; do
    kill -0 "$container_job" 2>/dev/null || die 'the server ended; its log is above.'
    [ "$SECONDS" -lt "$deadline" ] || die "the server is not healthy after 60 s: $(cat "$scratch/health")"
    sleep 0.5
  done
}

check_bounds() {
  local status=/proc/$container_pid/status
  awk '/^(Uid|CapEff|CapBnd|NoNewPrivs|NSpid):/ { printf "%s ", $0 } END { print "" }' "$status"
  grep -Eq '^Uid:\s+10025\s+10025' "$status" || die 'it does not run as 10025.'
  grep -Eq '^CapBnd:\s+0+$' "$status" || die 'it may have capabilities.'
  grep -Eq '^NSpid:.*\s1$' "$status" || die 'the server is not process 1.'
  grep -Eq '^Max core file size\s+0\s+0' "/proc/$container_pid/limits" || die 'it may dump core.'
  if in_container touch /opt/letterlock/touched 2>/dev/null; then die 'the root file system can be written.'; fi
}
