#!/bin/sh
# Check training, prediction and labelling on a machine with an NVIDIA card, in eight minutes and without a network.
#
#   examples/cuda_check.sh pack DIR           here: put the wheels that such a machine lacks into DIR (below 60 MB)
#   examples/cuda_check.sh run OUT [DIR]      there: with the PyTorch that is installed; results in OUT/cuda.json
#   examples/cuda_check.sh dry OUT            the same steps on a CPU, shortened: proves the script, not the card
#
# DATA=FOLDER trains on that set of drives, else on generated ones. The steps' outputs are in OUT, one file each.
set -u
cd "$(dirname "$0")/.." || exit 1
what=${1:-}; out=${2:-}
if [ -z "$what" ] || [ -z "$out" ]; then sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; fi
python=${PYTHON:-python3}
if [ "$what" = pack ]; then
    mkdir -p "$out"
    # Not PyTorch, torchvision, NumPy and Pillow, which are there, and nothing that is large.
    "$python" -m pip download -q -d "$out" --no-deps -c constraints.txt timm lightning pytorch-lightning lightning-utilities \
        torchmetrics av jsonargparse docstring-parser typeshed-client typing-extensions safetensors pyyaml rich \
        markdown-it-py mdurl pygments platformdirs trimesh onnx onnxruntime flatbuffers protobuf ml-dtypes huggingface-hub fsspec \
        pytest pytest-timeout iniconfig pluggy packaging tqdm
    du -sh "$out"
    exit
fi
dir=${3:-}
if [ -n "$dir" ]; then "$python" -m pip install -q --no-index --no-deps "$dir"/*.whl || exit 1; fi
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1
exec env PYTHONPATH="$PWD/src:$PWD/tests${PYTHONPATH:+:$PYTHONPATH}" "$python" examples/cuda_check.py "$what" "$out"
