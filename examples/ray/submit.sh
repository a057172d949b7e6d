#!/bin/bash
# A cluster that runs already: submit the scoring, then judge here from the store.
set -euo pipefail
: "${RAY_API_SERVER_ADDRESS:?the address of the cluster, http://…:8265}" "${STORE:?a URL that the cluster writes}"
ray job submit --address="$RAY_API_SERVER_ADDRESS" --working-dir=. -- \
    vidmetrics score rows.jsonl --metrics=vbench,common.fvd --engine=ray --store="$STORE" --gpus-per-worker=1
pytest bench --vidmetrics=all --vidmetrics-store="$STORE" --vidmetrics-judge
