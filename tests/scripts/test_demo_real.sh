#!/usr/bin/env bash
# examples/demo.sh as a user types it: the release build, the real GStreamer, the built-in model. Leaves its files in target/demo.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
check "examples/demo.sh" "$root/examples/demo.sh"
demo=${CARGO_TARGET_DIR:-$root/target}/demo
check "its captions are good ones" "$root/scripts/checker.sh" "$demo/recording.srt" "$demo/recording.vtt"
finish
