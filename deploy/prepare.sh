# shellcheck shell=bash
# Sourced by quickstart.sh and test.sh: goes to the package's root, installs what is missing, and sets `build`, the flags
# of every build. Both scripts share them, so that the one does not rebuild what the other built.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

packages=(libzmq3-dev libsqlite3-dev libarchive-dev zlib1g-dev ${extra_packages[@]+"${extra_packages[@]}"})

is_installed() { [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

install_missing() {
    local missing=() package as_root=()
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        say "this is not Debian or Ubuntu: have the development files of ZeroMQ 4.3, SQLite 3, libarchive and zlib in place; going on"
        return
    fi
    for package in "${packages[@]}"; do is_installed "$package" || missing+=("$package"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            say "missing: ${missing[*]}; install them as root: apt-get install ${missing[*]}"
            exit 1
        fi
        as_root=(sudo)
    fi
    say "installing ${missing[*]}"
    "${as_root[@]}" apt-get update -qq >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

require_swift() {
    local version
    if ! command -v swift >/dev/null; then
        say "Swift 6.3 is needed, and there is no swift on PATH; install it from https://www.swift.org/install/linux and run this again"
        exit 1
    fi
    version="$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9.]*\).*/\1/p' | head -n 1)"
    if [ "$(printf '%s\n' 6.2 "$version" | sort -V | head -n 1)" != 6.2 ]; then
        say "Swift 6.3 is needed, and $(command -v swift) is ${version:-of unknown version}; see https://www.swift.org/install/linux"
        exit 1
    fi
}

install_missing
require_swift

# shellcheck disable=SC2034 # the scripts that source this use it
build=(-c release)
# A compiler newer than ours may warn of something new: that must fail our CI, not a stranger's first try.
[ -z "${TOMBOLA_WARNINGS_AS_ERRORS:-}" ] || build+=(-Xswiftc -warnings-as-errors)
