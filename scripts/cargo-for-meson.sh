#!/usr/bin/env bash
# What meson.build runs:
#   cargo-for-meson.sh build CARGO PROFILE TARGET_DIR OUTPUT    builds the plugin and puts it at OUTPUT
#   cargo-for-meson.sh test CARGO PROFILE TARGET_DIR            runs the tests
set -euo pipefail
action=$1 cargo=$2 profile=$3
export CARGO_TARGET_DIR=$4
output=${5:+$(realpath -m -- "$5")}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=$CARGO_TARGET_DIR/$profile
[[ $profile != dev ]] || folder=$CARGO_TARGET_DIR/debug

"$cargo" build --locked --profile "$profile"
case $action in
    build) cp --update -- "$folder/libgstparaformer.so" "$output" ;;
    test)
        # shellcheck source=tests/env.sh
        . tests/env.sh
        GST_PLUGIN_PATH=$folder "$cargo" test --locked --profile "$profile"
        ;;
esac
