#!/bin/sh
# Create or upgrade the schemas of Temporal's two databases; does nothing to one that is current.
set -eu
for database in temporal:temporal temporal_visibility:visibility; do
  export SQL_DATABASE="${database%%:*}"
  temporal-sql-tool create || echo "$SQL_DATABASE exists"
  temporal-sql-tool setup-schema -v 0.0 || echo "$SQL_DATABASE is set up"
  temporal-sql-tool update-schema -d "/etc/temporal/schema/postgresql/v12/${database##*:}/versioned"
done
