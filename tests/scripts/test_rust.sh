#!/usr/bin/env bash
# scripts/rust.sh: which cargo will do, and what happens where none will. Cargo, curl and rustup's installer are fakes.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
rust=$root/scripts/rust.sh

# cargo_says TEXT [STATUS]
cargo_says() {
    printf 'echo "%s"; exit %s\n' "$1" "${2:-0}" | fake cargo
}

for version in 1.92.0 1.92.1-beta.3 1.95.0 1.97.0-nightly 1.100.0 2.0.0; do
    cargo_says "cargo $version (f2d3ce0bd 2026-03-21)"
    alone "$rust"
    check "$version is new enough" test "$status:$out" = "0:$work/bin/cargo"
    check "$version is taken without a word" test -z "$err"
done

for version in 0.66.0 1.70.0 1.91.1; do
    cargo_says "cargo $version"
    alone "$rust"
    check "$version is too old" test "$status:$out" = 1:
    check "$version is named, with what is needed and what to type" contains "$err" "cargo $version"
    check "  what is needed" contains "$err" "1.92 or newer"
    check "  what to type" contains "$err" "| sh"
done

for answer in "" "hello" "cargo" "cargo one.two" "1.95.0"; do
    cargo_says "$answer"
    alone "$rust"
    check "the answer '$answer' is no version" test "$status:$out" = 1:
    check "  and that is said" contains "$err" "tells no version"
done

cargo_says "error: no default toolchain is configured" 1
alone "$rust"
check "a cargo that fails will not do" test "$status:$out" = 1:
check "  and its own words are shown" contains "$err" "no default toolchain"

rm "$work/bin/cargo"
alone "$rust"
check "without cargo, and with nobody to ask, it fails" test "$status:$out" = 1:
check "  and says what to type" contains "$err" "| sh"

# The fake installer puts a cargo where rustup does, and notes its arguments.
installs() {
    fake curl <<'FAKE'
while [ "$1" != -o ]; do shift; done
cat >"$2" <<'INSTALLER'
echo "$@" >"$WORK/installer-arguments"
mkdir -p "${CARGO_HOME:-$HOME/.cargo}/bin"
cp "$WORK/installed-cargo" "${CARGO_HOME:-$HOME/.cargo}/bin/cargo"
echo "a word of the installer's"
INSTALLER
FAKE
    printf '#!/bin/sh\necho "cargo %s"\n' "$1" >"$work/installed-cargo"
    chmod +x "$work/installed-cargo"
    rm -rf "$work/home/.cargo" "$work/installer-arguments"
}

installs 1.95.0
alone "$rust" --yes
check "--yes runs the installer and takes its cargo" test "$status:$out" = "0:$work/home/.cargo/bin/cargo"
check "  the installer asks nothing, and brings what the tests need" \
    test "$(<"$work/installer-arguments")" = "-y --profile minimal --component rustfmt,clippy --default-toolchain stable"
alone "$rust"
check "the cargo so installed is found again without PATH" test "$status:$out" = "0:$work/home/.cargo/bin/cargo"
cargo_says "cargo 1.70.0"
alone "$rust"
check "  also behind an older one in the PATH" test "$status:$out" = "0:$work/home/.cargo/bin/cargo"

installs 1.95.0
alone "$rust" --yes
check "--yes helps an old cargo too" test "$status:$out" = "0:$work/home/.cargo/bin/cargo"

installs 1.95.0
alone env CARGO_HOME="$work/elsewhere" "$rust" --yes
check "CARGO_HOME is heeded" test "$status:$out" = "0:$work/elsewhere/bin/cargo"

installs 1.80.0
alone "$rust" --yes
check "an installer that brings too old a cargo is a failure" test "$status:$out" = 1:

installs 1.95.0
fake curl <<<'echo "could not resolve host" >&2; exit 6'
alone "$rust" --yes
check "no network: a failure" test "$status:$out" = 1:
check "  with curl's words" contains "$err" "could not resolve host"

# A person at a terminal.
terminal() {
    script -qefc "env -i PATH='$work/bin:$tools' HOME='$work/home' WORK='$work' '$rust'" /dev/null <<<"$1" >"$work/out" 2>&1
    status=$?
    out=$(<"$work/out")
}
for answer in n ""; do
    installs 1.95.0
    terminal "$answer"
    check "asked, the answer '$answer' installs nothing" test "$status" = 1 -a ! -e "$work/home/.cargo"
    check "  but says what to type" contains "$out" "| sh"
done
installs 1.95.0
terminal y
check "asked, the answer 'y' installs" test "$status" = 0
check "  and the cargo is taken" contains "$out" "$work/home/.cargo/bin/cargo"

finish
