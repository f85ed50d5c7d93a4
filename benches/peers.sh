#!/usr/bin/env bash
# Compares paraformerasr with funasr_onnx and sherpa-onnx: the same model, speech, threads and machine, in turn.
#
#   benches/peers.sh [--quick] [--live | --only-live] [--seconds N] [--python PYTHON] [--model DIR] [--out DIR]
#
# --quick      whether everything runs: a tiny model, few streams, one round; its figures say nothing
# --live       also the most live streams that each system keeps up with; --only-live: nothing but these
# --seconds N  length of the live runs that count (120)
# --python P   the Python that has the peers ($PARAFORMER_REFERENCE_PYTHON); made by tests/tools/setup.sh if none is named
# --model DIR  a model's folder in FunASR's and sherpa-onnx's layout; by default the published model's shape with random
#              weights, made by tests/tools/make_model.py
# --out DIR    where results.json and results.svg go (benches/results; with --quick, beside what else is made)
#
# Whatever it makes is kept in target/ (or $CARGO_TARGET_DIR). benches/README.md says how to read what it prints.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    echo "usage: benches/peers.sh [--quick] [--live | --only-live] [--seconds N] [--python PYTHON] [--model DIR] [--out DIR]" >&2
    exit 2
}

python=${PARAFORMER_REFERENCE_PYTHON:-} model='' out='' compare=() quick=''
while (($#)); do
    case $1 in
        --quick) quick=yes compare+=("$1") ;;
        --live | --only-live) compare+=("$1") ;;
        --seconds | --python | --model | --out)
            (($# > 1)) || usage
            case $1 in
                --seconds) compare+=("$1" "$2") ;;
                --python) python=$2 ;;
                --model) model=$2 ;;
                --out) out=$2 ;;
            esac
            shift
            ;;
        *) usage ;;
    esac
    shift
done

# The set of the tests has libgstrtspserver-1.0-dev, which cargo builds every bench with.
scripts/install-debian.sh build demo test
PATH=$(dirname "$(scripts/rust.sh)"):$PATH
# shellcheck source=tests/env.sh
. tests/env.sh
work=$CARGO_TARGET_DIR/peers
mkdir -p -- "$work"
if [[ -z $out ]]; then
    out=${quick:+$work/quick}
    out=${out:-benches/results}
fi

# The Python environment with the peers; with what makes models where that is needed.
train=()
if [[ -z $model && -z $quick && ! -f $work/large/encoder.int8.onnx ]]; then
    train=(--train)
fi
if [[ -z $python ]]; then
    python=$work/venv/bin/python
    if ! "$python" -c "import funasr_onnx, sherpa_onnx${train:+, torch, funasr}" >/dev/null 2>&1; then
        echo "Making the Python environment of the peers in $work/venv"
        tests/tools/setup.sh "$work/venv" "${train[@]}"
    fi
fi
"$python" -c 'import funasr_onnx, sherpa_onnx' >/dev/null || {
    echo "peers.sh: $python has no funasr_onnx or no sherpa_onnx; leave --python out to have them installed" >&2
    exit 1
}
plotter=$python
if ! "$plotter" -c 'import matplotlib' >/dev/null 2>&1; then
    plotter=$work/plot/bin/python
    if ! "$plotter" -c 'import matplotlib' >/dev/null 2>&1; then
        python3 -m venv "$work/plot"
        "$plotter" -m pip install --quiet --disable-pip-version-check matplotlib==3.11.2
    fi
fi

if [[ -n $model ]]; then
    [[ -d $model ]] || {
        echo "peers.sh: no such folder: $model" >&2
        exit 1
    }
elif [[ -n $quick ]]; then
    model=$work/tiny
    mkdir -p -- "$model"
    for layout in tiny-1 tiny-1-sherpa; do
        cp -- "tests/data/models/$layout"/* "$model"
    done
else
    model=$work/large
    if [[ ! -f $model/encoder.int8.onnx ]]; then
        echo "Making a model of the published one's shape in $model"
        rm -rf -- "$model.part"
        "$python" tests/tools/make_model.py "$model.part" --preset large --sherpa
        mv -T -- "$model.part" "$model"
    fi
fi

echo "Building, which takes some minutes where nothing is built yet"
cargo bench --locked --no-run --bench streams --bench live --message-format=json >"$work/build.json"
# The path of a bench's program, which cargo tells.
program() {
    "$python" -c 'import json, sys
told = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
print([line["executable"] for line in told if line.get("executable") and line["target"]["name"] == sys.argv[2]][-1])' "$work/build.json" "$1"
}
streams=$(program streams)
live=$(program live)

"$python" benches/peers/compare.py --model "$model" --audio "$work/audio" --out "$out" \
    --streams-bench "$streams" --live-bench "$live" "${compare[@]}"
"$plotter" benches/peers/plot.py "$out"
echo
echo "Written: $out/results.json and $out/results.svg"
