#!/usr/bin/env bash
# Stop the cluster that start_cluster.sh started in FOLDER: by the process ids that its daemons wrote there.
set -euo pipefail

folder=${1:?usage: stop_cluster.sh FOLDER}
for file in "$folder"/slurmd.node1.pid "$folder"/slurmd.node2.pid "$folder"/slurmctld.pid "$folder"/munge/pid; do
    [ -f "$file" ] && kill "$(cat "$file")" || echo "not running: $file" >&2
done
