#!/bin/sh
# Makes every secret of infra/compose.yaml that is not there yet, and gives each to the user that reads it. As root:
#   sudo infra/compose/prepare.sh < a file with the forge's token
# What exists is kept, so it may be run again. Nobody but root and the one reader may read any of it.
set -eu
umask 077
here=$(cd "$(dirname "$0")" && pwd)
secrets=$here/secrets
# The users of the containers, as in compose.yaml.
ours=10001:10001 postgres=999:999 valkey=999:1000 mlflow=10002:10002 s3=1000:1000

[ "$(id -u)" = 0 ] || { echo "prepare.sh: run it as root, because each file belongs to another user" >&2; exit 1; }

random() { head -c 32 /dev/urandom | od -An -vtx1 | tr -d ' \n'; }

# keep OWNER NAME: standard input becomes a secret, whole or not at all; one that is there stays.
keep() {
  if [ -e "$secrets/$2" ]; then cat >/dev/null; else
    cat >"$secrets/.$2.part"
    chmod 400 "$secrets/.$2.part"
    mv "$secrets/.$2.part" "$secrets/$2"
  fi
  chown "$1" "$secrets/$2"
}

# seed NAME: what several files are made of, for root alone.
seed() {
  random | keep 0:0 "$1.seed"
  cat "$secrets/$1.seed"
}

mkdir -p "$secrets/granted"
# Whoever mounts a file of it must get at it; the files have modes of their own.
chmod 711 "$secrets"
chown "${ours}" "$secrets/granted"
chmod 500 "$secrets/granted"

if [ ! -e "$secrets/forge_token" ]; then
  [ ! -t 0 ] || echo "The forge's token, then Ctrl-D:" >&2
  token=$(cat)
  [ -n "$token" ] || { echo "prepare.sh: give the forge's token on standard input" >&2; exit 1; }
  printf '%s\n' "$token" | keep $ours forge_token
fi
for name in hook_secret endpoint_token metrics_token; do random | keep $ours "$name"; done

database=$(seed database) broker=$(seed broker) tracking=$(seed tracking) store=$(seed store)
printf '%s\n' "$database" | keep $ours database_password
printf 'redis://:%s@valkey:6379/0\n' "$broker" | keep $ours redis_url
random | keep $postgres postgres_password
keep $postgres postgres_roles <<END
CREATE ROLE launchpin LOGIN PASSWORD '$database';
CREATE DATABASE launchpin OWNER launchpin TEMPLATE template0 ENCODING 'UTF8';
CREATE ROLE mlflow LOGIN PASSWORD '$tracking';
CREATE DATABASE mlflow OWNER mlflow TEMPLATE template0 ENCODING 'UTF8';
REVOKE CONNECT ON DATABASE launchpin, mlflow FROM PUBLIC;
END
keep $valkey valkey_conf <<END
bind 0.0.0.0
port 6379
protected-mode yes
requirepass $broker
dir /data
save ""
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
END
printf 'postgres:5432:mlflow:mlflow:%s\n' "$tracking" | keep $mlflow mlflow_pgpass
printf '[default]\naws_access_key_id = mlflow\naws_secret_access_key = %s\n' "$store" | keep $mlflow mlflow_s3
# The store is MLflow's alone; who may do everything there need not make the bucket before.
printf '{"identities": [{"name": "mlflow", "credentials": [{"accessKey": "mlflow", "secretKey": "%s"}], "actions": %s}]}\n' \
  "$store" '["Admin"]' | keep $s3 s3_identities

# The unguessable part of the webhook's path is no secret file: compose reads it from here.
if ! grep -q '^LAUNCHPIN_HOOK_PATH=' "$here/../.env" 2>/dev/null; then
  (umask 022; printf 'LAUNCHPIN_HOOK_PATH=%s\n' "$(random)" >>"$here/../.env")
fi
echo "The secrets are in $secrets. Next: docker compose --file $(dirname "$here")/compose.yaml up --detach"
