"""What the command line says of single settings, and which of them are flags."""

from __future__ import annotations

__all__ = ["FLAGS", "HELP"]

REPRODUCED = ("table1", "table2", "table3", "table4", "figure2", "figure4", "figure5")

# Settings that hold when they are named alone, without true or false.
FLAGS = {
    ("prepare cache", "verify"),
    ("prepare video", "verify"),
    *(
        (f"prepare {name}", flag)
        for name in ("kitti", "kitti-odometry", "cityscapes")
        for flag in ("verify", "splits", "jpeg", "delete_originals")
    ),
    ("prepare kitti", "ground_truth"),
    ("prepare kitti-odometry", "stereo"),
    ("prepare cityscapes", "stereo"),
    ("models", "json"),
    ("evaluate", "edges"),
    ("evaluate", "points"),
    ("evaluate", "processes"),
    ("export", "int8"),
    ("export", "dynamic"),
    ("pack", "pose"),
    ("app", "open"),
    *((f"reproduce {name}", "train") for name in REPRODUCED),
    *(("predict", flag) for flag in ("depth_video", "flicker", "glb", "ply", "resume", "show")),
}
# (command, setting): what `--help` says; for other settings it is their docstring.
HELP = {
    ("app", "open"): "open the page in a browser",
    ("benchmark", "part"): "Measure time and memory on this machine.",
    ("train", "data"): "a set that `hrdepth prepare` made, trained with what suits it; other settings go over that",
    ("diagnose", "run"): "the folder of a training run",
    ("doctor", "data"): "the folder of a training set",
    ("prepare", "part"): "Make a training set of videos (`hrdepth prepare VIDEO --out DATA` will do) or of published "
    "data, or a cache.",
    **{
        (f"prepare {name}", setting): text
        for name in ("kitti", "kitti-odometry", "cityscapes")
        for setting, text in (
            ("root", "the folder that the archives were unpacked to"),
            ("verify", "decode every image, and read every calibration and laser scan"),
            ("splits", "write lists of the frames that are there with both neighbours"),
            ("jpeg", "write a JPEG of each PNG, beside it or below --out; originals are kept"),
            ("delete_originals", "delete the PNGs once each has a JPEG, beside it, that shows the same"),
        )
    },
    ("prepare kitti", "ground_truth"): "write gt_depths.npz, the laser's depth of the test list, without any pickle",
    ("prepare kitti-odometry", "stereo"): "the right eye is wanted too, for mode MS",
    ("prepare cityscapes", "stereo"): "the right eye is wanted too, for mode MS",
    ("prepare video", "inputs"): "videos, or folders of frames, all of one camera",
    ("prepare video", "verify"): "compare the recordings in --out with their manifests instead",
    ("prepare cache", "verify"): "compare the cache with its checksums and sources instead; needs no --config",
    ("predict", "depth_video"): "of a video, write NAME_depth.mkv: 16-bit FFV1 without loss, depth x 256",
    ("predict", "flicker"): "measure how much disparity trembles, and write it into predict.json",
    ("predict", "glb"): "write NAME.glb, a point cloud for viewers; without --intrinsics for a camera like KITTI's",
    ("predict", "ply"): "write NAME.ply, a point cloud for tools, likewise",
    ("predict", "resume"): "go on with what a stopped run of the same settings left in --out",
    ("predict", "show"): "open a window with what came out, where there is one",
    ("predict", "input"): "an image, a folder of images or a video",
    ("calibrate-scale", "weights"): "a weights file",
    ("odometry", "input"): "a folder of images or a video, in the order of time",
    ("compare", "weights"): "weights files",
    ("report", "run"): "the folder that `hrdepth train` left",
    ("evaluate", "edges"): "accuracy and completeness of depth edges, boundary F1; needs dense true depth",
    ("evaluate", "points"): "Chamfer distance and F-score of point clouds; needs intrinsics",
    ("evaluate", "processes"): "compare in processes instead of threads",
    ("tabulate", "results"): "folders of `hrdepth evaluate --out`, or NAME=FOLDER,FOLDER,... with one a seed",
    ("export", "weights"): "a weights file of this package",
    ("pack", "weights"): "a weights file of this package",
    ("pack", "pose"): "keep the pose network, which trajectories and further training need",
    ("export", "int8"): "quantise to eight bits (OpenVINO); needs --calibration, a folder of images",
    ("export", "dynamic"): "take images of any size that fits the network, and batches",
    ("reproduce", "part"): "The paper's tables and figures: its rows beside measured ones.",
    **{
        (f"reproduce {name}", setting): text
        for name in REPRODUCED
        for setting, text in (
            ("train", "train what is missing, and go on with what was stopped"),
            ("weights", "NAME=FILE, or NAME=FILE,FILE with one a seed: weights of rows, instead of those in --runs"),
        )
    },
    ("render", "root"): "the folder to make",
    ("models", "json"): "print JSON instead of a table",
}
