"""Draw the learning curves of the trainings in `measured/`: `python results/claims/curves.py` writes curves.svg."""

from pathlib import Path

import matplotlib.pyplot as plt

from hrdepth.io.files import read_json

HERE = Path(__file__).parent
ROWS = {
    "kitti-monodepth2-m-640x192": "baseline",
    "table4-dense": "+ dense skips",
    "kitti-hrdepth-m-640x192": "+ dense skips and fSE",
}

plt.rcParams["svg.hashsalt"] = "claims"
figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for number, (name, label) in enumerate(ROWS.items()):
    for seed, file in enumerate(sorted((HERE / "measured").glob(f"{name}-seed*.json"))):
        curve = zip(*read_json(file)["curve"], strict=True)
        axes.plot(*curve, "o-", color=f"C{number}", label=label if seed == 0 else None, linewidth=1, markersize=3)
axes.set(xlabel="step", ylabel="photometric loss, 12 validation streets", ylim=(0.06, 0.15))
axes.legend(title="a line a seed")
figure.savefig(HERE / "curves.svg", metadata={"Date": None})
