#!/usr/bin/env bash
# Installs what is missing, builds, and passes the tests. `--soak` runs the tests that repeat something at their full counts;
# other arguments are handed to `swift test` (`--filter SweepsTests`).
set -euo pipefail
# Hosts that lose packets are made by root alone; without these tools that test says that it was not tried.
[ "$(id -u)" -ne 0 ] || extra_packages=(iproute2 nftables)
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
if [ ${#arguments[@]} -gt 0 ]; then
    swift test "${build[@]}" --disable-testable-imports "${arguments[@]}"
    exit
fi
# Tests of whole processes kill and pause them at certain moments of a training: one after the other, undisturbed by the rest.
swift test "${build[@]}" --disable-testable-imports --skip TombolaTests
swift test "${build[@]}" --disable-testable-imports --skip-build --no-parallel --filter TombolaTests

say "simulated clusters"
seeds=1000
[ -z "${TOMBOLA_SOAK:-}" ] || seeds=100000
"$(swift build "${build[@]}" --show-bin-path)/tombola" simulate --seeds "$seeds"

# The kernels' tests once more, where reading or writing past an end and undefined behaviour end them.
say "the kernels' tests under sanitizers"
# What the test library keeps to its end is no leak of ours; kernels allocate nothing.
export ASAN_OPTIONS=detect_leaks=0
swift test --package-path Tests/Sanitizers -c release --disable-testable-imports --sanitize address \
    -Xcc -O0 -Xcc -fsanitize=undefined -Xcc -fsanitize-trap=undefined
