#!/usr/bin/env bash
# Runs every test, after installing what they need: Debian packages, ONNX Runtime and, if you agree, Rust.
#
#   tests/run.sh [--all] [--yes]
#
# --all   also the tests marked #[ignore]: soaks, comparisons with other implementations, the large model's shape (those that need
#         the reference implementations use the Python at $PARAFORMER_REFERENCE_PYTHON), the elements of gst-plugins-rs around this
#         one, and the build through meson
# --yes   install Rust without asking where it is missing
#
# Writes to target/ (or $CARGO_TARGET_DIR), to ~/.cache/paraformerasr and to cargo's own folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

all=() yes=() scripts=(tests/scripts/test_*.sh) packages=(build demo test)
for argument in "$@"; do
    case $argument in
        --all)
            all=(-- --include-ignored)
            scripts+=(tests/scripts/long_*.sh)
            packages+=(companions)
            ;;
        --yes) yes=(--yes) ;;
        *)
            echo "usage: tests/run.sh [--all] [--yes]" >&2
            exit 2
            ;;
    esac
done

scripts/install-debian.sh "${packages[@]}"
cargo=$(scripts/rust.sh "${yes[@]}")
PATH=$(dirname "$cargo"):$PATH
# shellcheck source=tests/env.sh
. tests/env.sh

failed=0
summary=()
# Runs a command under a name; a failure is remembered and the rest runs all the same.
step() {
    local name=$1 verdict=ok start=$SECONDS
    shift
    printf '\n=== %s\n' "$name"
    if ! "$@"; then
        verdict=FAILED
        failed=1
    fi
    summary+=("$(printf '%-7s %4d s  %s' "$verdict" $((SECONDS - start)) "$name")")
}

# `false` for pkg-config: whatever looks for GStreamer fails, also where it is installed. A folder of its own, because cargo gives the
# library with and without the element the same file name.
# shellcheck disable=SC2317 # called through step
engine_alone() {
    PKG_CONFIG=false cargo build --locked --no-default-features --target-dir "$CARGO_TARGET_DIR/no-gstreamer"
}

step "format" cargo fmt --check
step "clippy" cargo clippy --locked --all-targets -- -D warnings
step "the engine without GStreamer" engine_alone
for script in "${scripts[@]}"; do
    step "$script" bash "$script"
done
if ((${#all[@]})); then
    step "building gst-plugins-rs" tests/companions/build.sh
fi
# The tests that start gst-launch-1.0 load the plugin from target/debug.
step "cargo build" cargo build --locked
step "cargo test" cargo test --locked --no-fail-fast "${all[@]}"

printf '\n=== Summary\n'
printf '%s\n' "${summary[@]}"
exit $failed
