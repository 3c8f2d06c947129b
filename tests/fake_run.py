"""A folder as `hrdepth train` writes it, without a training."""

import csv
import json

import yaml
from PIL import Image


def run_folder(folder, *, steps=40, message=None, data=None):
    """A run's folder as training writes it; of a training on the drives in `data`, where that is given."""
    (folder / "panels").mkdir(parents=True)
    settings = {"network": {"name": "lite_hrdepth"}, "epochs": 4, "batch_size": 2, "max_minutes": None}
    parts = [] if data is None else [{"dataset": "folder", "root": str(data), "split": str(data / "val.txt")}]
    settings |= {"train": parts, "validation": parts, "size": [64, 96], "objective": {"name": "view_synthesis"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    (folder / "run.json").write_text(json.dumps({"samples": {"train": 41, "validation": 4}}))
    columns = ["epoch", "minutes", "samples_per_second", "step", "train/loss", "val/loss"]
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for step in range(9, steps, 10):
            row = {"epoch": step // 20, "minutes": step / 60, "samples_per_second": 2.5, "step": step}
            writer.writerow(row | {"train/loss": 0.2 - step / 1000})
        writer.writerow({"epoch": (steps - 1) // 20, "step": steps - 1, "val/loss": 0.15})
    Image.linear_gradient("L").convert("RGB").save(folder / "panels" / "000040.png")
    if message is not None:
        (folder / "stopped.json").write_text(json.dumps({"message": message, "step": steps}))
    return folder
