#!/bin/sh
# PostgreSQL's image runs this once, when it makes its files: a role and a database for each who keeps something there.
set -eu
psql --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres --file /run/secrets/postgres_roles
