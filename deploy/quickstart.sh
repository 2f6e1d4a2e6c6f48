#!/usr/bin/env bash
# From a fresh clone to a leaderboard: installs what is missing, builds, and runs sweeps/quickstart.yaml with one coordinator
# and two workers on this machine. Run again, it goes on where it stopped. Arguments are handed to `tombola run`.
set -euo pipefail
# shellcheck source=deploy/prepare.sh
source "$(dirname "${BASH_SOURCE[0]}")/prepare.sh"

swift build "${build[@]}" --product tombola >&2
exec "$(swift build "${build[@]}" --show-bin-path)/tombola" run sweeps/quickstart.yaml --workers 2 "$@"
