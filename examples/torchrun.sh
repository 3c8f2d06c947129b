#!/bin/sh
# A training on several machines: on each of them, with the first one's address, the number of machines and a config
#   examples/torchrun.sh HOST:29500 4 run.yaml
# When a process dies, torchrun ends the others and starts all again, and they resume from last.ckpt.
exec torchrun --nnodes "$2" --nproc-per-node "${PROCESSES:-gpu}" --rdzv-backend c10d --rdzv-endpoint "$1" \
    --max-restarts 10 --no-python hrdepth train --config "$3" --resume auto
