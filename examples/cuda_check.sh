#!/bin/sh
# Check training, prediction and labelling on a machine with an NVIDIA card, in eight minutes and without a network.
#
#   examples/cuda_check.sh pack DIR [HAS]     here: put the wheels that such a machine lacks into DIR (below 60 MB);
#                                             HAS is a file with its `pip list --format freeze`
#   examples/cuda_check.sh run OUT [DIR]      there: with the PyTorch that is installed; results in OUT/cuda.json
#   examples/cuda_check.sh dry OUT [DIR]      the same steps on a CPU, shortened: proves the script, not the card
#
# DATA=FOLDER trains on that set of drives, else on generated ones. The steps' outputs are in OUT, one file each.
set -u
cd "$(dirname "$0")/.." || exit 1
what=${1:-}; out=${2:-}
if [ -z "$what" ] || [ -z "$out" ]; then sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; fi
python=${PYTHON:-python3}
dir=${3:-}
if [ "$what" = pack ]; then
    mkdir -p "$out"
    # Not PyTorch, torchvision, NumPy and Pillow, which are there. PYTHON_THERE is the Python of that machine.
    there=${PYTHON_THERE:-$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')}
    set --
    for package in timm lightning pytorch-lightning lightning-utilities torchmetrics tensorboard tensorboard-data-server absl-py \
        grpcio markdown protobuf werkzeug markupsafe matplotlib contourpy cycler fonttools kiwisolver pyparsing python-dateutil six \
        jsonargparse docstring-parser typeshed-client typing-extensions safetensors pyyaml rich markdown-it-py mdurl pygments \
        platformdirs trimesh huggingface-hub fsspec tqdm packaging pytest pytest-timeout iniconfig pluggy; do
        [ -n "$dir" ] && cut -d= -f1 "$dir" | tr _. - | grep -qix "$package" || set -- "$@" "$package"
    done
    "$python" -m pip download -qq -d "$out" --no-deps -c constraints.txt --only-binary=:all: --python-version "$there" \
        --implementation cp --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 \
        --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --platform manylinux1_x86_64 "$@" || exit 1
    du -sh "$out"
    exit
fi
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1
if [ -n "$dir" ]; then  # what is there stays as it is
    set --
    for wheel in "$dir"/*.whl; do
        name=${wheel##*/}
        "$python" -c 'import sys; from importlib.metadata import version; version(sys.argv[1])' "${name%%-*}" 2>/dev/null \
            || set -- "$@" "$wheel"
    done
    [ $# = 0 ] || "$python" -m pip install -q --no-index --no-deps --no-compile --upgrade --target "$out/site" "$@" || exit 1
fi
export PYTHONPATH="$PWD/src:$PWD/tests:$out/site${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" examples/cuda_check.py "$what" "$out"
