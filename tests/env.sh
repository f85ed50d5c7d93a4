# shellcheck shell=bash
# The environment of the tests. Source it, then run what you like:
#
#   . tests/env.sh && cargo build && cargo test
#
# The plugin is the one that cargo builds here, and nothing of this user's takes part: GStreamer keeps its registry in target/, and
# models are looked for in an empty place. (MODELSCOPE_CACHE only unset would send the search to ~/.cache/modelscope.)
_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CARGO_TARGET_DIR=$(realpath -m -- "${CARGO_TARGET_DIR:-$_root/target}")
export CARGO_TARGET_DIR
export GST_PLUGIN_PATH=$CARGO_TARGET_DIR/debug
export GST_REGISTRY=$CARGO_TARGET_DIR/gstreamer-registry.bin
export MODELSCOPE_CACHE=$CARGO_TARGET_DIR/no-models
unset PARAFORMER_MODEL_PATH
ORT_DYLIB_PATH=$("$_root/scripts/onnxruntime.sh" "$GST_PLUGIN_PATH") && export ORT_DYLIB_PATH
