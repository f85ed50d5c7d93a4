#!/usr/bin/env bash
# meson.build: sets up, builds in release, and installs where GStreamer looks.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root" || exit
check "meson setup" meson setup "$work/build" --prefix /usr
check "meson compile" meson compile -C "$work/build"
check "meson install" env DESTDIR="$work/installed" meson install -C "$work/build"
plugin=$(find "$work/installed" -path '*/gstreamer-1.0/libgstparaformer.so')
check "the plugin is where GStreamer looks" test -f "$plugin"
check "and GStreamer finds the element in it" \
    env GST_PLUGIN_PATH="$(dirname "$plugin")" GST_REGISTRY="$work/registry.bin" gst-inspect-1.0 paraformerasr
finish
