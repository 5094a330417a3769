#!/bin/sh
# Create the namespace, its retention and the typed search attributes; safe to run again.
set -eu
retention="$((RETENTION_DAYS * 24))h"
temporal operator namespace describe -n default >/dev/null 2>&1 ||
  temporal operator namespace create -n default --retention "$retention"
temporal operator namespace update -n default --retention "$retention"
for attribute in MintStatus:Keyword MintTenant:Keyword MintAsset:Keyword MintTopic:Keyword \
  MintAssignee:Keyword MintEscalationLevel:Int MintAmount:Double MintExpiresAt:Datetime; do
  temporal operator search-attribute create -n default \
    --name "${attribute%%:*}" --type "${attribute##*:}" || echo "${attribute%%:*} exists"
done
