#!/usr/bin/env bash
# Prints the path of a cargo that can build this project: of the `rust-version` in Cargo.toml, or newer.
#
#   rust.sh [--yes]
#
# Where there is none it says so and offers rustup's installer: it asks on a terminal, `--yes` answers, and where nobody can be
# asked it prints what to type and fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." # where a rustup override for this project would hold

needed=$(sed -n 's/^rust-version = "\([0-9]*\.[0-9]*\).*/\1/p' Cargo.toml)
rustup_cargo=${CARGO_HOME:-~/.cargo}/bin/cargo
installer=https://sh.rustup.rs

# Whether the cargo at $1 is new enough; says on stderr why not.
new_enough() {
    local answer major minor
    if ! answer=$("$1" --version 2>&1); then
        echo "$1 does not run: ${answer%%$'\n'*}" >&2
        return 1
    fi
    if [[ ! $answer =~ ^cargo\ ([0-9]+)\.([0-9]+)\. ]]; then
        echo "$1 tells no version: ${answer%%$'\n'*}" >&2
        return 1
    fi
    major=$((10#${BASH_REMATCH[1]})) minor=$((10#${BASH_REMATCH[2]}))
    if ((major < ${needed%.*} || (major == ${needed%.*} && minor < ${needed#*.}))); then
        echo "$1 is too old: ${answer%%$'\n'*}" >&2
        return 1
    fi
}

# Prints the first cargo that is new enough: the one in the PATH, else rustup's, which a shell opened before its installation and a
# distribution's older cargo both hide.
find_cargo() {
    local cargo first
    first=$(type -P cargo || true)
    for cargo in "$first" "$rustup_cargo"; do
        if [[ -x $cargo ]] && new_enough "$cargo"; then
            echo "$cargo"
            return
        fi
    done
    return 1
}

if find_cargo; then
    exit
fi
echo "Rust $needed or newer is needed to build this project." >&2

if [[ ${1:-} != --yes ]]; then
    answer=
    if [[ -t 0 && -t 2 ]]; then
        read -rp "Install it with rustup, from $installer, for this user? [y/N] " answer
    fi
    if [[ $answer != [yY]* ]]; then
        printf 'Install it with rustup, then start again:\n\n    %s\n\n' "curl --proto '=https' --tlsv1.2 -sSf $installer | sh" >&2
        exit 1
    fi
fi

# Not piped into sh: half a script must not run.
script=$(mktemp)
trap 'rm -f -- "$script"' EXIT
if ! curl --proto '=https' --tlsv1.2 -sSf -o "$script" "$installer"; then
    echo "rustup's installer could not be fetched from $installer." >&2
    exit 1
fi
# rustup refuses to stand beside a distribution's cargo unless told; that is the case of an older one.
RUSTUP_INIT_SKIP_PATH_CHECK=yes sh "$script" -y --profile minimal --component rustfmt,clippy --default-toolchain stable >&2
if ! find_cargo; then
    echo "rustup's installer ran, but there is still no cargo $needed or newer at $rustup_cargo." >&2
    exit 1
fi
