#!/usr/bin/env bash
# The whole benchmark on a CPU, offline: references, starting frames, two methods with three seeds, scores, ranking.
#
#   bash examples/i2v/run.sh --update-baselines     the first time
#   bash examples/i2v/run.sh                        then
#
# The arguments are pytest's.
set -euo pipefail
cd "$(dirname "$0")"
python make_references.py
vidmetrics frames manifest.jsonl -o starting_frames --rename video_id=id --rename path=video
pytest i2v.vidmetrics.toml --vidmetrics=all --vidmetrics-generate --vidmetrics-ranking=results "$@"
