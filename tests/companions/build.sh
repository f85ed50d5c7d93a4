#!/usr/bin/env bash
# Builds the elements of gst-plugins-rs that stand around this one, against the GStreamer of this machine, and prints the folder
# that holds them: a folder of plugins for each of
#
#   translationbin   gst-plugin-closedcaption 0.15.4, patched so that it builds against GStreamer older than 1.24,
#                    gst-plugin-textaccumulate 0.15.4 and gst-plugin-textwrap 0.15.0
#   transcriberbin   gst-plugin-closedcaption 0.10.9, the last that needs no element of GStreamer 1.24, and gst-plugin-textwrap
#
# The sources are the ones published on crates.io. Debian packages: scripts/install-debian.sh companions.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(realpath -m -- "${CARGO_TARGET_DIR:-$here/../../target}")/companions

fail() {
    printf 'build.sh: %s\n' "$1" >&2
    exit 1
}

pkg-config --exists pangocairo cairo-gobject || fail "the headers of pango and cairo are missing (Debian: libpango1.0-dev libcairo2-dev)"

# sources CRATE VERSION: prints a folder with the crate's sources, patched and locked by what lies beside this file.
sources() {
    local name=$1-$2 folder published work
    folder=$out/sources/$name-$(cat "$here/$name".{patch,lock} 2>/dev/null | sha256sum | cut -c 1-12)
    if [[ ! -d $folder ]]; then
        published=("${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$name")
        if [[ ! -d ${published[0]} ]]; then
            # Downloads the crate and unpacks it into cargo's own folder.
            (cd / && cargo info --quiet --registry crates-io "$1@$2" >/dev/null) || fail "cargo fetches no $1 $2 from crates.io"
            published=("${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$name")
        fi
        [[ -d ${published[0]} ]] || fail "cargo unpacked no $name into ${CARGO_HOME:-$HOME/.cargo}/registry/src"
        mkdir -p -- "$out/sources"
        work=$(mktemp -d -- "$out/sources/incomplete.XXXXXX")
        cp -r -- "${published[0]}/." "$work"
        if [[ -f $here/$name.patch ]]; then
            patch --quiet --directory "$work" --strip 1 <"$here/$name.patch" >&2 || fail "$name.patch does not apply"
        fi
        if [[ -f $here/$name.lock ]]; then
            cp -- "$here/$name.lock" "$work/Cargo.lock"
        fi
        mv -T -- "$work" "$folder"
    fi
    printf '%s\n' "$folder"
}

# plugin BIN CRATE VERSION LIBRARY: builds a crate and puts its library among the plugins of that bin. Each bin has its own target
# folder, because two versions of a crate have one library.
plugin() {
    local folder target=$out/target/$1
    folder=$(sources "$2" "$3")
    # Without debug information, for half the time and a tenth of the size, and without what rustc finds to say of others' code.
    CARGO_PROFILE_DEV_DEBUG=false RUSTFLAGS=--cap-lints=allow cargo build --quiet --locked --lib \
        --manifest-path "$folder/Cargo.toml" --target-dir "$target" >&2 || fail "$2 $3 does not build"
    mkdir -p -- "$out/$1"
    install -m 644 -- "$target/debug/$4" "$out/$1/$4"
}

plugin translationbin gst-plugin-closedcaption 0.15.4 libgstrsclosedcaption.so
plugin translationbin gst-plugin-textaccumulate 0.15.4 libgsttextaccumulate.so
plugin translationbin gst-plugin-textwrap 0.15.0 libgsttextwrap.so
plugin transcriberbin gst-plugin-closedcaption 0.10.9 libgstrsclosedcaption.so
install -m 644 -- "$out/translationbin/libgsttextwrap.so" "$out/transcriberbin/"
printf '%s\n' "$out"
