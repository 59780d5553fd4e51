#!/bin/bash
# Starts compose.yaml as it is where no registry of images can be reached: our image is built on a base made by
# debootstrap, and PostgreSQL, Valkey, MLflow and the S3 store are stand-ins from Debian and PyPI, each started by the
# command, as the user, with the secrets, volumes, networks and limits of compose.yaml. Leaves nothing behind, but for
# the base in the folder that may be named.
#
#   apt-get install --no-install-recommends podman runc debootstrap netavark aardvark-dns catatonit iptables curl
#   infra/compose/try.sh [FOLDER OF THE BASE]
#
# As root, on Debian. It takes 10 to 20 minutes, and 8 GB of disk.
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d /var/tmp/launchpin-compose.XXXXXX)
base=${1:-$work}
chmod 711 "$work"

say() { printf '%s  %s\n' "$(date +%T)" "$*"; }
fail() { say "FAILED: $*" >&2; exit 1; }

# A storage and networks of its own, which go away as a whole, and leave other containers of this machine alone.
mkdir -p "$work/networks"
cat >"$work/podman" <<END
#!/bin/sh
exec podman --root $work/storage --runroot $work/run --tmpdir $work/tmp --network-config-dir $work/networks \
  --runtime runc "\$@"
END
chmod +x "$work/podman"
engine() { CONTAINERS_CONF=$work/containers.conf "$work/podman" "$@"; }
# Some machines allow nobody, not even root, more than their own limits.
printf '[network]\nnetwork_backend = "netavark"\n[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]\n' \
  >"$work/containers.conf"

compose() {
  (cd "$work/infra" && CONTAINERS_CONF=$work/containers.conf "$work/venv/bin/podman-compose" --podman-path "$work/podman" \
    --in-pod false --file compose.yaml --file stand-ins.yaml "$@")
}

clean_up() {
  code=$?
  set +e
  if [ "$code" -ne 0 ] && [ -d "$work/infra" ]; then
    engine ps --all --format '{{.Names}}  {{.Status}}'
    for name in $(engine ps --all --format '{{.Names}}'); do echo "--- the end of $name's log"; engine logs --tail 15 "$name" 2>&1; done
  fi
  engine rm --all --force --time 5 >/dev/null 2>&1
  engine network prune --force >/dev/null 2>&1
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

bundle=/etc/ssl/certs/ca-certificates.crt
# build NAME FILE CONTEXT. This machine's certificates are seen while it builds: behind a proxy no others will do.
build() {
  engine build --quiet --isolation chroot --file "$2" --tag "$1" --build-arg BASE=localhost/base:trixie \
    --volume "$bundle:$bundle:ro" "$3" >/dev/null
  say "built $1"
}
build localhost/launchpin:try "$here/infra/image/Containerfile" "$here"

mkdir "$work/empty"
cat >"$work/Postgres" <<'END'
FROM localhost/base:trixie
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql-common \
 && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf \
 && apt-get install --yes --no-install-recommends postgresql-17 \
 && usermod --uid 999 postgres && groupmod --gid 999 postgres \
 && install --directory --owner 999 --group 999 --mode 700 /var/lib/postgresql /docker-entrypoint-initdb.d
# What stands in for its folder in memory belongs to root: the socket is elsewhere.
ENV PGHOST=/tmp PATH=/usr/lib/postgresql/17/bin:/usr/sbin:/usr/bin:/sbin:/bin PGDATA=/var/lib/postgresql/17/docker
COPY start /start
ENTRYPOINT ["sh", "/start"]
VOLUME /var/lib/postgresql
END
# What the official image does with the variables and files that compose.yaml gives it.
cat >"$work/start" <<'END'
set -eu
if [ ! -f "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  eval "initdb --username postgres --pwfile $POSTGRES_PASSWORD_FILE $POSTGRES_INITDB_ARGS" >/dev/null
  # From other containers, as the official image allows.
  printf 'host all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
  sed -i 's/^local .*/local all all trust/' "$PGDATA/pg_hba.conf"
  pg_ctl --wait --options "-c listen_addresses='' -c unix_socket_directories=/tmp" start >/dev/null
  for script in /docker-entrypoint-initdb.d/*.sh; do sh "$script"; done
  pg_ctl --wait --mode fast stop >/dev/null
fi
exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp
END
cat >"$work/Valkey" <<'END'
FROM localhost/base:trixie
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update && apt-get install --yes --no-install-recommends valkey-server valkey-tools \
 && install --directory --owner 999 --group 1000 /data
WORKDIR /data
VOLUME /data
END
cat >"$work/Mlflow" <<'END'
FROM localhost/base:trixie
RUN python3 -m venv /opt/mlflow && /opt/mlflow/bin/pip install --no-cache-dir 'mlflow>=3.17,<3.18' psycopg2-binary boto3
ENV PATH=/opt/mlflow/bin:/usr/bin:/bin
END
# moto speaks S3 at the same port; it is told nothing of keys, and makes the bucket when it starts.
cat >"$work/S3" <<'END'
FROM localhost/base:trixie
RUN apt-get update && apt-get install --yes --no-install-recommends curl \
 && python3 -m venv /opt/moto && /opt/moto/bin/pip install --no-cache-dir 'moto[s3,server]'
COPY serve /serve
ENTRYPOINT ["sh", "/serve"]
END
cat >"$work/serve" <<'END'
(until curl --silent --output /dev/null --request PUT http://127.0.0.1:8333/mlflow; do sleep 0.2; done) &
exec /opt/moto/bin/moto_server --host 0.0.0.0 --port 8333
END
cp "$work/start" "$work/serve" "$work/empty"
for name in Postgres Valkey Mlflow S3; do build "localhost/${name,,}:try" "$work/$name" "$work/empty"; done

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet 'podman-compose==1.6.0'
cp --recursive "$here/infra" "$work/infra"
rm -rf "$work/infra/compose/secrets" "$work/infra/.env"
echo no-token-of-any-forge | "$work/infra/compose/prepare.sh" >/dev/null
{
  echo services:
  for name in web control training relay database endpoints; do echo "  $name: {image: 'localhost/launchpin:try'}"; done
  for name in postgres valkey mlflow s3; do echo "  $name: {image: 'localhost/$name:try'}"; done
} >"$work/infra/stand-ins.yaml"
# podman has no log driver of this name, takes no owner for a folder in memory, and knows no conditions of a start.
sed -i -e 's/driver: local,/driver: k8s-file,/' -e 's/uid=999,gid=999,//' "$work/infra/compose.yaml"
"$work/venv/bin/python" - "$work/infra/compose.yaml" <<'END'
import sys, pathlib, yaml
file = pathlib.Path(sys.argv[1])
told = yaml.safe_load(file.read_text())
for service in told["services"].values():
    service.pop("depends_on", None)
file.write_text(yaml.safe_dump(told))
END


# In the order of `depends_on`.
start() { compose up --detach --no-build --no-recreate "$@" >>"$work/compose.log" 2>&1 || { tail -20 "$work/compose.log"; fail "$*"; }; }
name_of() { engine ps --all --format '{{.Names}}' | grep "[_-]$1[_-]1\$"; }
is_well() { engine healthcheck run "$(name_of "$1")"; }
has_ended() { [ "$(engine inspect --format '{{.State.Status}} {{.State.ExitCode}}' "$(name_of "$1")")" = "exited 0" ]; }
start postgres valkey s3
for name in postgres valkey s3; do wait_for 120 is_well "$name"; done
say "PostgreSQL, Valkey and the S3 store are well"
start database mlflow
wait_for 120 has_ended database
wait_for 240 is_well mlflow
say "the tables are made, MLflow is well"
start web control training relay endpoints
for name in web control training relay endpoints; do wait_for 240 is_well "$name"; done
say "web, control, training, relay and endpoints are well"
engine ps --all --format '{{.Names}}  {{.Status}}'

# What the how-to tells people to type, as `docker compose exec` would run it.
inside() { local name=$1; shift; engine exec "$(name_of "$name")" "$@"; }
inside web launchpin people grant ada admin >/dev/null
link=$(inside web launchpin people link ada)
[ "$(curl --silent --output /dev/null --max-time 10 --write-out '%{http_code}' "$link")" = 303 ] || fail "the link of ada"
inside web launchpin gc --timeout 120 >/dev/null || fail "nobody carried out launchpin gc"
inside relay launchpin status >/dev/null || fail "launchpin status"
inside relay launchpin explain >/dev/null || fail "launchpin explain"
inside relay launchpin audit export /tmp/export --timeout 90 >/dev/null || fail "nobody signed a head"
inside relay launchpin audit verify /tmp/export >/dev/null || fail "the exported audit log is not intact"
say "people are let in; a command went from web by database, relay and Valkey to a worker; the relay signed the log"

inside training python -c '
import mlflow, pathlib, tempfile
mlflow.set_tracking_uri("http://mlflow:5000")
with mlflow.start_run() as run:
    mlflow.log_metric("accuracy", 0.97)
    mlflow.log_text("kept", "kept.txt")
with tempfile.TemporaryDirectory() as folder:
    found = mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/kept.txt", dst_path=folder)
    assert pathlib.Path(found).read_text() == "kept"
' >/dev/null 2>"$work/mlflow.log" || { tail -5 "$work/mlflow.log"; fail "MLflow and its store"; }
[ "$(engine logs "$(name_of s3)" 2>&1 | grep --count kept.txt)" -gt 0 ] || fail "the file is not in the S3 store"
say "a run and its file went from a worker by MLflow to PostgreSQL and the S3 store, and came back"

# reaches FROM ADDRESS: whether a port of another part answers.
reaches() { inside "$1" python -c 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)' "$2" "$3" >/dev/null 2>&1; }
for way in "web postgres 5432" "relay valkey 6379" "control endpoints 8090" "training s3 8333"; do
  # shellcheck disable=SC2086
  reaches $way || fail "there is no way: $way"
done
for way in "relay mlflow 5000" "web mlflow 5000" "web endpoints 8090" "training endpoints 8090" "endpoints postgres 5432" "control s3 8333"; do
  # shellcheck disable=SC2086
  if reaches $way; then fail "there is a way: $way"; fi
done
say "each part reaches what its networks say, and nothing else"

for name in web control training relay endpoints mlflow valkey postgres s3; do
  [ "$(inside "$name" sh -c 'awk "/^Uid/ {print \$2}" /proc/1/status')" != 0 ] || fail "$name is root"
  if inside "$name" sh -c 'touch /of-ours 2>/dev/null'; then fail "the root of $name can be written to"; fi
done
say "none of them is root, and no root can be written to"

for name in web relay control training endpoints; do engine stop --time 40 "$(name_of "$name")" >/dev/null 2>&1; done
start web control training relay endpoints
for name in web control training relay endpoints; do wait_for 240 is_well "$name"; done
inside relay launchpin audit export /tmp/again --timeout 90 >/dev/null || fail "nobody signed a head after the restart"
say "stopped and started again: all of it is there"
say "all of it works"
