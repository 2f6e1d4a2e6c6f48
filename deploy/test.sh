#!/usr/bin/env bash
# Installs what is missing, builds, and passes the tests. `--soak` runs the tests that repeat something at their full counts;
# other arguments are handed to `swift test` (`--filter SweepsTests`).
set -euo pipefail
# shellcheck source=deploy/prepare.sh
source "$(dirname "${BASH_SOURCE[0]}")/prepare.sh"

arguments=()
for argument in "$@"; do
    case "$argument" in
    --soak) export TOMBOLA_SOAK=1 ;;
    *) arguments+=("$argument") ;;
    esac
done

# No test imports a module as @testable; with testable imports on, everything would be built a second time.
swift build "${build[@]}" --product tombola >&2
exec swift test "${build[@]}" --disable-testable-imports "${arguments[@]}"
