#!/bin/sh
# Makes the Python environment that holds the reference implementations, at exactly the versions the test data was made with.
#   setup.sh VENV          runs models: onnxruntime, funasr-onnx, sherpa-onnx (about 700 MB)
#   setup.sh VENV --train  also torch and funasr, which build and export Paraformer models (about 6 GB)
set -eu
venv=${1:?usage: setup.sh VENV [--train]}
python3 -m venv "$venv"
"$venv/bin/pip" install -q onnx==1.23.2 onnxruntime==1.31.1 funasr-onnx==0.4.3 sherpa-onnx==2.0.1 kaldi-native-fbank \
    soundfile soxr pyyaml jieba librosa
if [ "${2:-}" = "--train" ]; then
    "$venv/bin/pip" install -q torch==2.15.0 funasr==1.4.16 onnxscript==0.7.2
fi
echo "reference environment ready: $venv"
