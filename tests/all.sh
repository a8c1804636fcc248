#!/usr/bin/env bash
# Every check of the house, from a clean clone: formatting, lints, documentation, tests.
# Stops at the first step that fails and names it.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

step() {
    echo "== $*"
    local start=$SECONDS
    "$@" || fail "$*"
    echo "   ok, $((SECONDS - start)) s"
}

# Installs a Debian package when it can, or says how to.
need_package() {
    local package=$1
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "== installing $package"
        apt-get install -y --no-install-recommends "$package" >/dev/null ||
            { apt-get update >/dev/null && apt-get install -y --no-install-recommends "$package" >/dev/null; } ||
            fail "apt-get install $package"
    else
        fail "$package is missing; install it with: sudo apt-get install -y $package"
    fi
}

need_component() {
    local command=$1 component=$2
    cargo "$command" --version >/dev/null 2>&1 && return
    command -v rustup >/dev/null || fail "cargo $command is missing; install it with: rustup component add $component"
    step rustup component add "$component"
}

if ! command -v cargo >/dev/null && [ -f "$HOME/.cargo/env" ]; then
    . "$HOME/.cargo/env"
fi
command -v cargo >/dev/null || fail "cargo is missing; install Rust 1.89 or later from https://rustup.rs"
need_component fmt rustfmt
need_component clippy clippy
# The zstd crate compiles C.
command -v cc >/dev/null || command -v gcc >/dev/null || need_package build-essential

# The tests send mail to a real server of their own, over TLS with a certificate of their own.
[ -x /usr/sbin/exim4 ] || need_package exim4-daemon-light
command -v openssl >/dev/null || need_package openssl
# And short messages through a real gateway with a fake operator.
[ -x /usr/sbin/bearerbox ] || need_package kannel
[ -x /usr/lib/kannel/test/fakesmsc ] || need_package kannel-extras

step cargo fmt --check
step cargo clippy --all-targets --locked --features fail-points -- -D warnings
step env RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked
# The crash tests let the program die at named places; a program that is installed has none of them.
# Many tests wait for servers and deadlines: one more runs at once than there are cores.
step env RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) + 1))}" cargo test --locked --features fail-points
echo "all checks passed"
