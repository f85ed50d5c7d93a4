#!/usr/bin/env bash
# Installs the Debian packages that are missing, as root or through sudo.
#
#   install-debian.sh SET...     sets: build demo test companions
#
# build: what compiles the plugin. demo: what runs it on a recording, a microphone or a file. test: what the tests use besides.
# companions: what tests/companions/build.sh compiles the elements of gst-plugins-rs with.
set -euo pipefail

build=(
    build-essential pkg-config git ca-certificates curl
    libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev
)
# plugins-bad has srtenc and webvttenc, gstreamer1.0-x has textoverlay; alsa and pulseaudio are what autoaudiosrc finds a
# microphone through; the font draws Chinese on pictures; pip fetches ONNX Runtime, which Debian does not package,
# and venv the published model.
demo=(
    gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
    gstreamer1.0-x gstreamer1.0-alsa gstreamer1.0-pulseaudio fonts-wqy-microhei
    python3 python3-pip python3-venv
)
# ugly has x264enc, libav decodes the rest; the others serve RTSP streams, drive pipelines from Python, make speech and files, and
# look at web pages.
test=(
    gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-rtsp gir1.2-gst-rtsp-server-1.0 libgstrtspserver-1.0-dev
    gir1.2-gstreamer-1.0 gir1.2-gst-plugins-base-1.0 python3-gst-1.0
    espeak-ng sox ffmpeg shellcheck meson chromium chromium-driver
)
companions=(libpango1.0-dev libcairo2-dev)

wanted=()
for name in "$@"; do
    case $name in
        build) wanted+=("${build[@]}") ;;
        demo) wanted+=("${demo[@]}") ;;
        test) wanted+=("${test[@]}") ;;
        companions) wanted+=("${companions[@]}") ;;
        *)
            echo "install-debian.sh: no such set: $name (build, demo, test, companions)" >&2
            exit 2
            ;;
    esac
done

if ! command -v dpkg-query >/dev/null; then
    echo "This is no Debian: install the counterparts of these yourself, if they are missing: ${wanted[*]}" >&2
    exit 0
fi

missing=()
for package in "${wanted[@]}"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) || status=unknown
    [[ $status == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
    exit 0
fi

# The lines a person can type are the lines that run here, but for the lock: another apt may be at work on a fresh machine.
update=(apt-get update)
install=(apt-get install --yes --no-install-recommends "${missing[@]}")
quietly=(env DEBIAN_FRONTEND=noninteractive)
if ((EUID == 0)); then
    as_root=("${quietly[@]}")
elif command -v sudo >/dev/null; then
    as_root=(sudo "${quietly[@]}")
else
    as_root=()
fi

give_up() {
    printf '%s\nAs root, type:\n\n    %s && %s\n\n' "$1" "${update[*]}" "${install[*]}" >&2
    exit 1
}

if ((${#as_root[@]} == 0)); then
    give_up "Debian packages are missing, and there is neither root nor sudo here to install them."
fi
echo "Installing Debian packages: ${missing[*]}" >&2
lock=(-o DPkg::Lock::Timeout=300)
"${as_root[@]}" "${update[@]}" "${lock[@]}" >&2 || give_up "The list of Debian packages could not be updated."
"${as_root[@]}" "${install[@]}" "${lock[@]}" >&2 || give_up "The Debian packages could not be installed."
