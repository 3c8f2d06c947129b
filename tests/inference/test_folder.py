"""Tests of inference/folder.py, inference/manifest.py, inference/outputs.py and inference/writer.py.

An image, a folder and a video through a Predictor: what lands on disk is what was predicted.
"""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from clips import timed
from PIL import Image
from torch import Tensor

import hrdepth.inference.writer
from hrdepth.camera import LearnedCamera, pinhole
from hrdepth.config import Outputs
from hrdepth.errors import InputError
from hrdepth.inference.folder import predict_to_folder
from hrdepth.inference.predictor import Predictor
from hrdepth.io.depth_video import read_depth_video
from hrdepth.io.images import read_image, write_image
from hrdepth.io.media import Frame, MediaInfo, frames, probe
from hrdepth.io.video import open_video
from hrdepth.io.video_writer import VideoWriter
from hrdepth.io.visualize import colorize_disparity

SIZE = (48, 80)


def red_channel(image: Tensor) -> dict[int, Tensor]:
    return {0: image[:, :1].clamp(0.01, 0.99)}


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(red_channel, (32, 64))


def make_image(seed: int = 0) -> np.ndarray:
    """Return a smooth image (48,80,3) whose red channel grows downwards, as nearness does on a road."""
    generator = np.random.default_rng(seed)
    image = np.tile(np.linspace(20, 235, SIZE[0])[:, None, None], (1, SIZE[1], 3))
    return (image + generator.uniform(-8, 8)).astype(np.uint8)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_video(path: Path, count: int = 6) -> Path:
    with VideoWriter(path, 12) as video:
        for index in range(count):
            video.write(make_image(index))
    return path


def write_two_sizes(path: Path, count: int, larger: int) -> Path:
    """Write an MPEG-TS of `count` frames (48,80) and then `larger` ones of twice the size, as adaptive streams have."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for first, images, factor in ((0, count, 1), (count, larger, 2)):
            encoder = av.CodecContext.create("libx264", "w")
            encoder.height, encoder.width, encoder.pix_fmt = SIZE[0] * factor, SIZE[1] * factor, "yuv420p"
            encoder.time_base, encoder.options = Fraction(1, 10), {"bf": "0"}
            for index in range(images + 1):
                frame = None
                if index < images:
                    image = np.tile(make_image(index), (factor, factor, 1))
                    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                    frame.pts, frame.time_base = first + index, Fraction(1, 10)
                for packet in encoder.encode(frame):
                    packet.stream = stream
                    container.mux(packet)
    return path


class TestImage:
    def test_files_contain_the_prediction(self, predictor: Predictor, tmp_path: Path) -> None:
        write_image(tmp_path / "road.png", make_image())
        matrix = np.diag([60.0, 60.0, 1.0])
        written = predict_to_folder(
            predictor, tmp_path / "road.png", tmp_path / "out", intrinsics=matrix, progress=False
        )
        assert names(tmp_path / "out") == ["predict.json", "road.npz", "road_disparity.png", "road_panel.png"]
        assert sorted(path.name for path in written) == names(tmp_path / "out")
        assert written[-1].name == "predict.json"

        expected = predictor(tmp_path / "road.png")
        with np.load(tmp_path / "out" / "road.npz", allow_pickle=False) as content:
            assert np.array_equal(content["disparity"], expected.disparity)
            assert np.array_equal(content["depth"], expected.depth)
            assert content["disparity"].dtype == content["depth"].dtype == np.float32
            assert (float(content["min_depth"]), float(content["max_depth"])) == (0.1, 100)
            assert str(content["scale"]) == expected.scale
            assert np.array_equal(content["intrinsics"], matrix)
            assert "metres_per_unit" not in content
        colours = np.array(read_image(tmp_path / "out" / "road_disparity.png"))
        assert np.array_equal(colours, colorize_disparity(expected.disparity))
        assert colours[-1].mean() > colours[0].mean() + 100  # near, at the bottom, is bright
        panel = np.array(read_image(tmp_path / "out" / "road_panel.png"))
        assert np.array_equal(panel[-48:], np.concatenate([make_image(), colours], axis=1))

    def test_long_names_are_shortened_and_a_damaged_image_is_skipped(
        self, predictor: Predictor, tmp_path: Path
    ) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        for name in ("a" * 251, "\u00e4" * 125, "b"):
            write_image(folder / f"{name}.png", make_image())
        Image.fromarray(make_image()).save(folder / "c.avif")
        (folder / "c.avif").write_bytes((folder / "c.avif").read_bytes()[:200])
        for resume in (False, True):
            written = predict_to_folder(predictor, folder, tmp_path / "out", progress=False, resume=resume)
            assert len(written) == 3 * 3 + 1
            assert all(path.is_file() for path in written)
            skipped = json.loads((tmp_path / "out/predict.json").read_text())["skipped"]
            assert len(skipped) == 1
            assert "c.avif" in skipped[0]
        with VideoWriter(tmp_path / f"{'v' * 250}.mp4", 10) as video:
            video.write(make_image())
        written = predict_to_folder(predictor, tmp_path / f"{'v' * 250}.mp4", tmp_path / "video", progress=False)
        assert all(path.is_file() for path in written)

    def test_intrinsics_follow_frames_that_are_stretched(self, predictor: Predictor, tmp_path: Path) -> None:
        """Of pixels twice as wide as high, given for the file's pixels or for square ones."""
        path = timed(tmp_path / "a.mp4", [make_image()] * 2, aspect=2)
        height, width = make_image().shape[:2]
        shown = pinhole(2 * 60.0, 120.0, float(width), height / 2)
        for number, given in enumerate((pinhole(60.0, 120.0, width / 2, height / 2), shown)):
            out = tmp_path / str(number)
            predict_to_folder(predictor, path, out, Outputs(npz=True), progress=False, intrinsics=given)
            with np.load(out / "a_000000.npz") as content:
                assert content["disparity"].shape == (height, 2 * width)
                assert content["intrinsics"] == pytest.approx(shown)

    def test_options_choose_the_outputs(self, predictor: Predictor, tmp_path: Path) -> None:
        write_image(tmp_path / "road.png", make_image())
        predict_to_folder(
            predictor,
            tmp_path / "road.png",
            tmp_path / "out",
            Outputs(npz=False, panel=False, depth_png=True),
            progress=False,
        )
        assert names(tmp_path / "out") == ["predict.json", "road_depth.png", "road_disparity.png"]

    @pytest.mark.parametrize("metres_per_unit", [None, 5.4])
    def test_the_depth_png_has_its_unit(self, metres_per_unit: float | None, tmp_path: Path) -> None:
        write_image(tmp_path / "road.png", make_image())
        predictor = Predictor(red_channel, (32, 64), metres_per_unit=metres_per_unit)
        predict_to_folder(predictor, tmp_path / "road.png", tmp_path / "out", Outputs(depth_png=True), progress=False)
        with Image.open(tmp_path / "out" / "road_depth.png") as image:
            values = np.array(image) / 256
        expected = predictor(tmp_path / "road.png").depth * (metres_per_unit or 1)
        assert np.abs(values - np.clip(expected, 0, 65535 / 256)).max() <= 0.5 / 256 + 1e-5
        units = json.loads((tmp_path / "out" / "predict.json").read_text())["units"]
        assert ("= metres" if metres_per_unit else "= network units") in units["depth_png"]
        assert units["metres"] == ("depth x 5.4" if metres_per_unit else None)

    def test_the_manifest_lists_files_and_settings(self, predictor: Predictor, tmp_path: Path) -> None:
        write_image(tmp_path / "road.png", make_image())
        predictor.source = tmp_path / "net.safetensors"
        predict_to_folder(predictor, tmp_path / "road.png", tmp_path / "out", progress=False)
        text = (tmp_path / "out" / "predict.json").read_text()
        manifest = json.loads(text)
        assert manifest["input"] == {"name": "road.png", "kind": "picture", "fps": None}
        assert manifest["network"]["weights"] == "net.safetensors"
        assert manifest["network"]["size"] == [32, 64]
        assert (manifest["pictures"], manifest["skipped"], manifest["complete"]) == (1, [], True)
        assert sorted([*manifest["files"], "predict.json"]) == names(tmp_path / "out")
        assert "versions" in manifest
        assert str(tmp_path) not in text

    def test_a_broken_single_image_is_refused(self, predictor: Predictor, tmp_path: Path) -> None:
        (tmp_path / "road.png").write_bytes(b"broken")
        with pytest.raises(InputError, match=r"road\.png"):
            predict_to_folder(predictor, tmp_path / "road.png", tmp_path / "out", progress=False)
        assert names(tmp_path / "out") == []


class TestFolder:
    def test_every_image_at_its_own_size(self, predictor: Predictor, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        write_image(folder / "1.png", make_image())
        write_image(folder / "2.png", make_image()[:40, :70])
        (folder / "notes.txt").write_text("no image")
        predict_to_folder(predictor, folder, tmp_path / "out", Outputs(panel=False), progress=False)
        assert names(tmp_path / "out") == [
            "1.npz",
            "1_disparity.png",
            "2.npz",
            "2_disparity.png",
            "predict.json",
        ]
        with np.load(tmp_path / "out" / "2.npz") as content:
            assert content["depth"].shape == (40, 70)

    @pytest.mark.parametrize("progress", [True, False])
    def test_a_broken_image_is_reported_and_skipped(
        self, predictor: Predictor, tmp_path: Path, capsys: pytest.CaptureFixture[str], progress: bool
    ) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        for name in ("1.png", "2.png", "3.png"):
            write_image(folder / name, make_image())
        (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:60])
        predict_to_folder(predictor, folder, tmp_path / "out", Outputs(npz=False, panel=False), progress=progress)
        assert names(tmp_path / "out") == ["1_disparity.png", "3_disparity.png", "predict.json"]
        captured = capsys.readouterr()
        assert "2.png" in captured.err
        assert captured.out == ""
        manifest = json.loads((tmp_path / "out" / "predict.json").read_text())
        assert (manifest["pictures"], manifest["complete"]) == (2, False)
        assert len(manifest["skipped"]) == 1
        assert "in/2.png" in manifest["skipped"][0]
        assert str(tmp_path) not in manifest["skipped"][0]

    def test_a_folder_without_a_readable_image_is_refused(self, predictor: Predictor, tmp_path: Path) -> None:
        folder = tmp_path / "in"
        folder.mkdir()
        (folder / "1.png").write_bytes(b"broken")
        with pytest.raises(InputError, match="not one image"):
            predict_to_folder(predictor, folder, tmp_path / "out", progress=False)

    def test_images_named_one_by_one_are_predicted_and_resumed(self, predictor: Predictor, tmp_path: Path) -> None:
        for number, name in enumerate(("a/road.png", "a/other.png", "b/lane.png")):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            write_image(tmp_path / name, make_image(number))
        given = [str(tmp_path / name) for name in ("b/lane.png", "a/road.png")]
        out = tmp_path / "out"
        predict_to_folder(predictor, probe(given), out, progress=False)
        assert sorted(path.stem for path in out.glob("*.npz")) == ["lane", "road"]
        assert json.loads((out / "predict.json").read_text())["images"].keys() == {"lane", "road"}
        before = (out / "road.npz").stat().st_mtime_ns
        predict_to_folder(predictor, probe([*given, str(tmp_path / "a/other.png")]), out, resume=True, progress=False)
        assert (out / "other.npz").is_file()
        assert (out / "road.npz").stat().st_mtime_ns == before

    @pytest.mark.parametrize(
        ("second", "sentence"),
        [("a", "a is a folder; of several inputs each must be an image"), ("b/road.png", "2 of the images are called"),
         ("camera:0", "camera"), ("", "name of an input is empty"), ("none.png", "none.png does not exist")],
    )  # fmt: skip
    def test_several_inputs_must_be_images_of_different_names(
        self, second: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        for name in ("a/road.png", "b/road.png"):
            Path(name).parent.mkdir()
            write_image(Path(name), make_image())
        with pytest.raises(InputError, match=sentence):
            probe(["a/road.png", second])

    @pytest.mark.parametrize("named", [False, True])
    def test_intrinsics_are_of_one_size(self, predictor: Predictor, tmp_path: Path, named: bool) -> None:
        """One K for images of two sizes would give wrong metres; learned cameras scale by themselves."""
        folder, out = tmp_path / "in", tmp_path / "out"
        folder.mkdir()
        for name in ("a", "c"):
            write_image(folder / f"{name}.png", make_image())
        (folder / "b.png").write_bytes(b"broken")
        source = probe([str(folder / f"{name}.png") for name in "cba"] if named else folder)
        known = pinhole(60.0, 60.0, 40.0, 24.0)
        predict_to_folder(predictor, source, out, intrinsics=known, progress=False)
        assert len(list(out.glob("*.npz"))) == 2
        turned = Image.fromarray(make_image().transpose(1, 0, 2).copy())
        (exif := Image.Exif())[0x0112] = 6
        turned.save(folder / "d.png", exif=exif)
        write_image(folder / "e.png", np.tile(make_image(), (2, 2, 1)))
        source = probe([str(folder / f"{name}.png") for name in "cdeba"] if named else folder)
        never = stop_at(0, AssertionError)
        sentence = "the intrinsics are of 80x48, e.png is 160x96; predict images of one size at a time"
        with pytest.raises(InputError, match=sentence):
            predict_to_folder(never, source, tmp_path / "none", intrinsics=known, progress=False)
        assert not (tmp_path / "none").exists()
        learned = LearnedCamera("car", (48, 80), fx=60.0, fy=60.0, cx=40.0, cy=24.0, start=60.0)
        predict_to_folder(predictor, source, tmp_path / "learned", camera=learned, progress=False)
        with np.load(tmp_path / "learned/e.npz") as content:
            assert content["intrinsics"][0, 0] == pytest.approx(120)

    def test_the_output_folder_may_not_be_the_input(self, predictor: Predictor, tmp_path: Path) -> None:
        write_image(tmp_path / "1.png", make_image())
        with pytest.raises(InputError, match="folder of the images"):
            predict_to_folder(predictor, tmp_path, tmp_path, overwrite=True, progress=False)


class TestVideo:
    def test_a_panel_video_shows_image_and_disparity(self, predictor: Predictor, tmp_path: Path) -> None:
        path = write_video(tmp_path / "drive.mp4")
        predict_to_folder(predictor, path, tmp_path / "out", progress=False)
        assert names(tmp_path / "out") == ["drive_panel.mp4", "predict.json"]
        made = probe(tmp_path / "out" / "drive_panel.mp4")
        assert (made.kind, made.count, made.fps) == ("video", 6, 12)
        for frame, source in zip(frames(tmp_path / "out" / "drive_panel.mp4"), frames(path), strict=True):
            assert frame.image.shape == (48, 160, 3)
            assert np.abs(frame.image[:, :80].astype(int) - source.image).mean() < 6
            assert frame.image[-4:, 80:].mean() > frame.image[:4, 80:].mean() + 100

    def test_arrays_per_frame_are_written_on_request(self, predictor: Predictor, tmp_path: Path) -> None:
        path = write_video(tmp_path / "drive.mp4", 2)
        predict_to_folder(
            predictor, path, tmp_path / "out", Outputs(npz=True, depth_png=True, panel=False), progress=False
        )
        assert names(tmp_path / "out") == [
            "drive_000000.npz",
            "drive_000000_depth.png",
            "drive_000001.npz",
            "drive_000001_depth.png",
            "drive_disparity.mp4",
            "predict.json",
        ]
        second = list(frames(path))[1]
        with np.load(tmp_path / "out" / "drive_000001.npz") as content:
            assert np.array_equal(content["disparity"], predictor(second.image).disparity)

    def test_colours_do_not_flicker(self, tmp_path: Path) -> None:
        # The disparity of a still scene is scaled up and down from frame to frame, as networks do.
        path = write_video(tmp_path / "still.mp4", 10)
        factors = iter([1.0, 0.6] * 5)
        predictor = Predictor(lambda image: {0: red_channel(image)[0] * next(factors)}, (32, 64))
        predict_to_folder(predictor, path, tmp_path / "out", Outputs(panel=False), progress=False)
        tops = [frame.image[-8:].mean() for frame in frames(tmp_path / "out" / "still_disparity.mp4")]
        # With a range per frame all would look the same; a steady range shows the scale as it is.
        assert abs(tops[1] - tops[0]) > 20

    def test_a_wide_video_is_scaled_down(
        self, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hrdepth.inference.writer, "VIDEO_WIDTH", 100)
        predict_to_folder(predictor, write_video(tmp_path / "a.mp4", 1), tmp_path / "out", progress=False)
        assert next(iter(frames(tmp_path / "out" / "a_panel.mp4"))).image.shape == (30, 100, 3)

    def test_uneven_times_of_a_video_are_kept(self, predictor: Predictor, tmp_path: Path) -> None:
        times = [0.0, 0.1, 0.2, 1.0, 1.1, 4.0]
        with VideoWriter(tmp_path / "a.mp4", 10) as video:
            for index, time in enumerate(times):
                video.write(make_image(index), time)
        predict_to_folder(predictor, tmp_path / "a.mp4", tmp_path / "out", Outputs(depth_video=True, panel=True))
        for name in ("a_panel.mp4", "a_depth.mkv"):
            shown = [frame.seconds for frame in frames(tmp_path / "out" / name)]
            assert shown == pytest.approx(times, abs=0.002)

    def test_a_video_damaged_later_is_predicted_up_to_the_damage(
        self, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def damaged(source: MediaInfo, **options: object) -> Iterator[Frame]:
            for index in range(3):
                yield Frame(f"a_{index:06d}", make_image(index), index)
            raise InputError(f"the video {source.path} is damaged after frame 3")

        monkeypatch.setattr(hrdepth.inference.folder, "frames", damaged)
        predict_to_folder(predictor, write_video(tmp_path / "a.mp4"), tmp_path / "out", progress=False)
        assert probe(tmp_path / "out" / "a_panel.mp4").count == 3
        manifest = json.loads((tmp_path / "out" / "predict.json").read_text())
        assert manifest["skipped"] == ["the video a.mp4 is damaged after frame 3"]
        assert manifest["complete"] is False

    def test_a_video_ends_where_its_size_changes(
        self, predictor: Predictor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path, out = write_two_sizes(tmp_path / "a.ts", 7, 3), tmp_path / "out"
        for resume in (False, True):
            predict_to_folder(predictor, path, out, progress=False, resume=resume, batch=2)
            assert names(out) == ["a_panel.mp4", "predict.json"]
            assert [frame.image.shape for frame in frames(out / "a_panel.mp4")] == [(48, 160, 3)] * 7
            manifest = json.loads((out / "predict.json").read_text())
            sentence = "the video a.ts changes its size from 80x48 to 160x96 at frame 7; what follows is left out"
            assert manifest["skipped"] == [sentence]
            assert (manifest["pictures"], manifest["complete"]) == (7, False)
            assert f"skipped: {sentence.replace('a.ts', str(path))}" in capsys.readouterr().err

    def test_an_interrupted_video_is_playable(self, tmp_path: Path) -> None:
        calls = iter(range(10))

        def stop_at_the_fourth(image: Tensor) -> dict[int, Tensor]:
            if next(calls) == 3:
                raise KeyboardInterrupt
            return red_channel(image)

        path = write_video(tmp_path / "a.mp4")
        with pytest.raises(KeyboardInterrupt):
            predict_to_folder(Predictor(stop_at_the_fourth, (32, 64)), path, tmp_path / "out", progress=False)
        assert names(tmp_path / "out") == ["a_panel.mp4", "predict.json"]
        assert len(list(frames(tmp_path / "out" / "a_panel.mp4"))) == 3
        manifest = json.loads((tmp_path / "out" / "predict.json").read_text())
        assert (manifest["pictures"], manifest["complete"]) == (3, False)


class TestOutputFolder:
    def test_nothing_is_overwritten_silently(self, predictor: Predictor, tmp_path: Path) -> None:
        write_image(tmp_path / "road.png", make_image())
        predict_to_folder(predictor, tmp_path / "road.png", tmp_path / "out", progress=False)
        before = (tmp_path / "out" / "road.npz").stat().st_mtime_ns
        with pytest.raises(InputError, match="not empty"):
            predict_to_folder(predictor, tmp_path / "road.png", tmp_path / "out", progress=False)
        assert (tmp_path / "out" / "road.npz").stat().st_mtime_ns == before
        predict_to_folder(predictor, tmp_path / "road.png", tmp_path / "out", overwrite=True, progress=False)
        assert (tmp_path / "out" / "road.npz").stat().st_mtime_ns > before

    def test_results_of_the_run_before_do_not_stay_beside_those_of_this_one(
        self, predictor: Predictor, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        predict_to_folder(predictor, write_video(tmp_path / "d.mp4", 12), out, Outputs(npz=True), progress=False)
        manifest = json.loads((out / "predict.json").read_text())
        (tmp_path / "outside.txt").write_text("kept")
        (out / "below").mkdir()
        for name in ("notes.txt", "d_000020.npz", "below/d_000001.npz"):
            (out / name).write_text("kept")
        (out / "link.npz").symlink_to(out / "notes.txt")
        manifest["files"] += [
            "../outside.txt", str(tmp_path / "outside.txt"), "below", "below/d_000001.npz", "link.npz", "..", "", 7,
            None, "\0", "a" * 300,
        ]  # fmt: skip
        (out / "predict.json").write_text(json.dumps(manifest))
        write_video(tmp_path / "d.mp4", 5)
        predict_to_folder(
            predictor, tmp_path / "d.mp4", out, Outputs(npz=True, panel=False), overwrite=True, progress=False
        )
        assert names(out) == sorted(
            [f"d_{index:06d}.npz" for index in (*range(5), 20)]
            + ["below", "d_disparity.mp4", "link.npz", "notes.txt", "predict.json"]
        )
        assert (out / "below/d_000001.npz").read_text() == (tmp_path / "outside.txt").read_text() == "kept"

    @pytest.mark.parametrize(
        "damage", [{}, {"outputs": 3}, {"outputs": {"other": 1}}, {"images": [7, "../a"]}, {"files": 7}]
    )
    def test_results_of_a_killed_run_are_no_results_of_this_one(
        self, predictor: Predictor, tmp_path: Path, damage: dict[str, object]
    ) -> None:
        """The manifest of a killed run names its images, and no files yet."""
        folder, out = tmp_path / "in", tmp_path / "out"
        folder.mkdir()
        for index in range(3):
            write_image(folder / f"{index}.png", make_image(index))
        predict_to_folder(predictor, folder, out, progress=False)
        manifest = json.loads((out / "predict.json").read_text())
        for name in ("files", "pictures", "kept", "skipped"):
            del manifest[name]
        (out / "predict.json").write_text(json.dumps(manifest | {"complete": False} | damage))
        (out / "1.ply").write_text("of somebody else")
        for index in (1, 2):
            (folder / f"{index}.png").unlink()
        predict_to_folder(predictor, folder, out, overwrite=True, progress=False)
        of_others = (
            ["1.ply"]
            if not damage
            else [f"{i}{end}" for i in (1, 2) for end in (".npz", "_disparity.png", "_panel.png")]
        )
        assert {*of_others, "1.ply"} == set(names(out)) - {"0.npz", "0_disparity.png", "0_panel.png", "predict.json"}

    @pytest.mark.parametrize("failure", ["settings", "input", "network", "Ctrl-C"])
    def test_a_run_that_fails_at_the_start_loses_nothing(
        self, predictor: Predictor, tmp_path: Path, failure: str
    ) -> None:
        folder, out = tmp_path / "in", tmp_path / "out"
        folder.mkdir()
        write_image(folder / "a.png", make_image())
        predict_to_folder(predictor, folder, out, progress=False)
        before = {path: path.read_bytes() for path in out.iterdir()}
        outputs, network, error = Outputs(), predictor, InputError
        if failure == "settings":
            outputs = Outputs(depth_video=True)
        elif failure == "input":
            (folder / "a.png").write_bytes(b"broken")
        else:
            error = RuntimeError if failure == "network" else KeyboardInterrupt
            network = stop_at(0, error)
        with pytest.raises(error):
            predict_to_folder(network, folder, out, outputs, overwrite=True, progress=False)
        assert {path: path.read_bytes() for path in out.iterdir()} == before

    def test_results_of_the_run_before_are_not_resumed(self, predictor: Predictor, tmp_path: Path) -> None:
        """What another network predicted is no result of this one, also if this one was interrupted."""
        folder, out = tmp_path / "in", tmp_path / "out"
        folder.mkdir()
        for name in "ab":
            write_image(folder / f"{name}.png", make_image())
        other = Predictor(lambda image: {0: 1 - red_channel(image)[0]}, (32, 64))
        predict_to_folder(other, folder, out, progress=False)
        with pytest.raises(KeyboardInterrupt):
            predict_to_folder(stop_at(1), folder, out, overwrite=True, progress=False)
        assert names(out) == ["a.npz", "a_disparity.png", "a_panel.png", "predict.json"]
        predict_to_folder(predictor, folder, out, resume=True, progress=False)
        with np.load(out / "a.npz") as first, np.load(out / "b.npz") as second:
            assert np.array_equal(first["disparity"], second["disparity"])

    def test_an_input_among_the_results_before_is_kept(self, predictor: Predictor, tmp_path: Path) -> None:
        write_image(tmp_path / "road.png", make_image())
        out = tmp_path / "out"
        predict_to_folder(predictor, tmp_path / "road.png", out, progress=False)
        predict_to_folder(predictor, out / "road_panel.png", out, overwrite=True, progress=False)
        assert names(out) == ["predict.json", "road_panel.npz", "road_panel.png", "road_panel_disparity.png",
                              "road_panel_panel.png"]  # fmt: skip

    def test_a_folder_that_cannot_be_created_is_named(self, predictor: Predictor, tmp_path: Path) -> None:
        write_image(tmp_path / "road.png", make_image())
        with pytest.raises(InputError, match="output folder"):
            predict_to_folder(predictor, tmp_path / "road.png", tmp_path / "road.png" / "out", progress=False)

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
    def test_a_folder_that_cannot_be_written_is_named(self, predictor: Predictor, tmp_path: Path) -> None:
        write_image(tmp_path / "road.png", make_image())
        (tmp_path / "out").mkdir(mode=0o500)
        with pytest.raises(InputError, match="cannot be written"):
            predict_to_folder(predictor, tmp_path / "road.png", tmp_path / "out", progress=False)

    def test_bad_input_makes_no_folder(self, predictor: Predictor, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="does not exist"):
            predict_to_folder(predictor, tmp_path / "none.mp4", tmp_path / "out", progress=False)
        assert not (tmp_path / "out").exists()


def stop_at(call: int, error: type[BaseException] = KeyboardInterrupt) -> Predictor:
    calls = iter(range(1_000))

    def network(image: Tensor) -> dict[int, Tensor]:
        if next(calls) == call:
            raise error
        return red_channel(image)

    return Predictor(network, (32, 64))


class TestResume:
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "in"
        folder.mkdir()
        for index in range(5):
            write_image(folder / f"{index}.png", make_image(index))
        return folder

    def test_a_stopped_folder_is_resumed(self, predictor: Predictor, tmp_path: Path) -> None:
        folder, out = self.folder(tmp_path), tmp_path / "out"
        with pytest.raises(KeyboardInterrupt):
            predict_to_folder(stop_at(3), folder, out, Outputs(panel=False), progress=False)
        stopped = json.loads((out / "predict.json").read_text())
        assert (stopped["pictures"], stopped["complete"]) == (3, False)
        before = (out / "1.npz").stat().st_mtime_ns
        (out / "2.npz").unlink()  # half of what belongs to an image is not enough
        written = predict_to_folder(predictor, folder, out, Outputs(panel=False), resume=True, progress=False)
        manifest = json.loads((out / "predict.json").read_text())
        assert (manifest["pictures"], manifest["kept"], manifest["complete"]) == (5, 2, True)
        assert (out / "1.npz").stat().st_mtime_ns == before
        assert sorted(path.name for path in written) == names(out) == sorted([*manifest["files"], "predict.json"])
        again = predict_to_folder(stop_at(0), folder, out, Outputs(panel=False), resume=True, progress=False)
        assert sorted(again) == sorted(written)

    def test_a_killed_run_is_resumed(self, predictor: Predictor, tmp_path: Path) -> None:
        folder, out = self.folder(tmp_path), tmp_path / "out"
        predict_to_folder(predictor, folder, out, progress=False)
        manifest = json.loads((out / "predict.json").read_text())
        for name in ("pictures", "kept", "flicker", "skipped", "files"):  # as it was written at the start
            del manifest[name]
        (out / "predict.json").write_text(json.dumps(manifest | {"complete": False}))
        (out / "3_panel.png").unlink()
        predict_to_folder(predictor, folder, out, resume=True, progress=False)
        assert json.loads((out / "predict.json").read_text())["kept"] == 4

    def test_resume_knows_images_by_their_content(self, predictor: Predictor, tmp_path: Path) -> None:
        """Another folder of the same names is refused, a replaced image predicted again, a moved folder resumed."""
        folder, out = self.folder(tmp_path), tmp_path / "out"
        predict_to_folder(predictor, folder, out, progress=False)
        (tmp_path / "b").mkdir()
        other = tmp_path / "b" / "in"
        other.mkdir()
        for index in range(5):
            write_image(other / f"{index}.png", make_image(index + 10))
        with pytest.raises(InputError, match="not of the images in"):
            predict_to_folder(predictor, other, out, resume=True, progress=False)
        (tmp_path / "c").mkdir()
        moved = folder.rename(tmp_path / "c" / "in")
        write_image(moved / "3.png", make_image(13))
        (out / "4.npz").unlink()
        predict_to_folder(predictor, moved, out, resume=True, progress=False)
        manifest = json.loads((out / "predict.json").read_text())
        assert (manifest["kept"], manifest["pictures"]) == (3, 5)
        for index in range(5):
            with np.load(out / f"{index}.npz") as content:
                assert np.array_equal(content["depth"], predictor(moved / f"{index}.png").depth), index
        del manifest["images"]
        (out / "predict.json").write_text(json.dumps(manifest))
        with pytest.raises(InputError, match="not of the images in"):
            predict_to_folder(predictor, moved, out, resume=True, progress=False)

    def test_an_image_replaced_before_a_second_stop_is_predicted_again(
        self, predictor: Predictor, tmp_path: Path
    ) -> None:
        folder, out = self.folder(tmp_path), tmp_path / "out"
        predict_to_folder(predictor, folder, out, progress=False)
        write_image(folder / "4.png", make_image(14))
        (out / "1.npz").unlink()
        with pytest.raises(KeyboardInterrupt):
            predict_to_folder(stop_at(0), folder, out, resume=True, progress=False)
        predict_to_folder(predictor, folder, out, resume=True, progress=False)
        with np.load(out / "4.npz") as content:
            assert np.array_equal(content["depth"], predictor(folder / "4.png").depth)

    def test_results_of_equal_stems_stay_apart(self, predictor: Predictor, tmp_path: Path) -> None:
        folder, out = tmp_path / "in", tmp_path / "out"
        folder.mkdir()
        write_image(folder / "a.png", make_image(0))
        for seed, name in enumerate(("x.jpg", "x.png", "x.jpg.png", "X.png")):
            Image.fromarray(make_image(seed + 1)).save(folder / name)
        (folder / "._a.png").write_bytes(b"\0\5\x16\7")
        predict_to_folder(predictor, folder, out, Outputs(panel=False), progress=False)
        for file, name in (("a.png", "a"), ("x.jpg", "x.jpg"), ("x.png", "x.png"), ("x.jpg.png", "x.jpg.png"),
                           ("X.png", "X")):  # fmt: skip
            with np.load(out / f"{name}.npz") as content:
                assert np.array_equal(content["depth"], predictor(folder / file).depth), file
        assert len(names(out)) == 11

    def test_resume_starts_in_an_empty_output_folder(self, predictor: Predictor, tmp_path: Path) -> None:
        folder = self.folder(tmp_path)
        predict_to_folder(predictor, folder, tmp_path / "out", resume=True, progress=False)
        assert len(names(tmp_path / "out")) == 16

    def test_a_folder_of_other_settings_cannot_be_resumed(self, predictor: Predictor, tmp_path: Path) -> None:
        folder, out = self.folder(tmp_path), tmp_path / "out"
        predict_to_folder(predictor, folder, out, progress=False)
        other = Predictor(red_channel, (64, 64), metres_per_unit=5.4)
        with pytest.raises(InputError, match=r"network\.metres_per_unit.*network\.size|network\.size"):
            predict_to_folder(other, folder, out, resume=True, progress=False)
        with pytest.raises(InputError, match=r"outputs\.ply"):
            predict_to_folder(predictor, folder, out, Outputs(ply=True), resume=True, progress=False)
        with pytest.raises(InputError, match="smoothing"):
            predict_to_folder(predictor, folder, out, Outputs(smooth="exponential"), resume=True, progress=False)
        (out / "predict.json").unlink()
        with pytest.raises(InputError, match=r"no predict\.json"):
            predict_to_folder(predictor, folder, out, resume=True, progress=False)
        video = write_video(tmp_path / "drive.mp4")
        predict_to_folder(predictor, video, tmp_path / "video", progress=False)
        with pytest.raises(InputError, match=r"network\.metres_per_unit.*network\.size|network\.size"):
            predict_to_folder(other, video, tmp_path / "video", resume=True, progress=False)


class TestResumedVideo:
    """A video in parts of 4 frames: 11 frames are three parts, of which the last is never complete."""

    OUTPUTS = Outputs(npz=True, depth_png=True, depth_video=True, smooth="exponential", flicker=True)

    @pytest.fixture(autouse=True)
    def short_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("cv2")
        monkeypatch.setattr(hrdepth.inference.writer, "PART_FRAMES", 4)

    @staticmethod
    def content(out: Path) -> dict[str, bytes]:
        """Return the files by their names: of a Matroska file its frames, as it has a random number."""
        files = {path.name: path.read_bytes() for path in out.iterdir() if path.suffix in (".npz", ".png", ".mp4")}
        return files | {"drive_depth.mkv": np.stack(list(read_depth_video(out / "drive_depth.mkv"))).tobytes()}

    @pytest.mark.parametrize("outputs", [OUTPUTS, replace(OUTPUTS, smooth="flow", npz=False), Outputs()])
    @pytest.mark.parametrize("stops", [(2,), (6,), (8, 2, 1)])
    def test_it_equals_an_uninterrupted_one(
        self, predictor: Predictor, tmp_path: Path, outputs: Outputs, stops: tuple[int, ...]
    ) -> None:
        """Whatever it was interrupted by: an error here stands for a kill, which leaves even more."""
        path, out, whole = write_video(tmp_path / "drive.mp4", 11), tmp_path / "out", tmp_path / "whole"
        expected = predict_to_folder(predictor, path, whole, outputs, progress=False)
        for stop in stops:
            with pytest.raises(RuntimeError):
                predict_to_folder(stop_at(stop, RuntimeError), path, out, outputs, resume=True, progress=False)
        assert not (out / "drive_panel.mp4").exists()
        rest = stop_at(11 - min(8, stops[0] // 4 * 4), RuntimeError)  # no more than that is predicted
        written = predict_to_folder(rest, path, out, outputs, resume=True, progress=False)
        assert [path.name for path in written] == [path.name for path in expected]
        assert names(out) == names(whole)
        if outputs.depth_video:
            assert self.content(out) == self.content(whole)
        assert (out / "drive_panel.mp4").read_bytes() == (whole / "drive_panel.mp4").read_bytes()
        made, manifest = (json.loads((folder / "predict.json").read_text()) for folder in (whole, out))
        assert [manifest[name] for name in ("pictures", "flicker", "files", "complete")] == [
            made[name] for name in ("pictures", "flicker", "files", "complete")
        ]
        before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
        again = predict_to_folder(stop_at(0), path, out, outputs, resume=True, progress=False)
        assert again == written
        assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before

    def test_after_ctrl_c_the_frames_so_far_are_playable_and_are_continued(
        self, predictor: Predictor, tmp_path: Path
    ) -> None:
        path, out, whole = write_video(tmp_path / "drive.mp4", 11), tmp_path / "out", tmp_path / "whole"
        predict_to_folder(predictor, path, whole, self.OUTPUTS, progress=False)
        with pytest.raises(KeyboardInterrupt):
            predict_to_folder(stop_at(6), path, out, self.OUTPUTS, progress=False)
        for name in ("drive_panel.mp4", "drive_depth.mkv"):
            assert len(list(frames(out / name))) == 6
        predict_to_folder(predictor, path, out, self.OUTPUTS, resume=True, progress=False)
        assert self.content(out) == self.content(whole)
        assert names(out) == names(whole)

    def test_a_size_that_changes_where_a_part_ended_is_noticed(
        self, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, out = write_two_sizes(tmp_path / "drive.ts", 8, 3), tmp_path / "out"

        def stopped(info: MediaInfo, **_: object) -> Iterator[Frame]:
            yield from islice(frames(info), 8)
            raise RuntimeError

        with monkeypatch.context() as patch:
            patch.setattr(hrdepth.inference.folder, "frames", stopped)
            with pytest.raises(RuntimeError):
                predict_to_folder(predictor, path, out, progress=False)
        predict_to_folder(predictor, path, out, resume=True, progress=False)
        assert probe(out / "drive_panel.mp4").count == 8
        assert "at frame 8" in json.loads((out / "predict.json").read_text())["skipped"][0]
        assert not (out / "drive_unfinished").exists()

    def test_times_go_on_over_the_parts(self, predictor: Predictor, tmp_path: Path) -> None:
        times = [0.0, 0.1, 0.2, 1.0, 1.1, 4.0, 4.1, 4.2, 4.7, 4.8, 9.0]
        with VideoWriter(tmp_path / "drive.mp4", 30000 / 1001) as video:
            for index, time in enumerate(times):
                video.write(make_image(index), time)
        out, outputs = tmp_path / "out", Outputs(depth_video=True)
        with pytest.raises(RuntimeError):
            predict_to_folder(stop_at(9, RuntimeError), tmp_path / "drive.mp4", out, outputs, progress=False)
        predict_to_folder(predictor, tmp_path / "drive.mp4", out, outputs, resume=True, progress=False)
        for name in ("drive_panel.mp4", "drive_depth.mkv"):
            assert [frame.seconds for frame in frames(out / name)] == pytest.approx(times, abs=0.002)

    def test_what_does_not_fit_is_refused_or_predicted_again(self, predictor: Predictor, tmp_path: Path) -> None:
        path, out, outputs = write_video(tmp_path / "drive.mp4", 11), tmp_path / "out", Outputs(npz=True)

        def stop() -> None:
            with pytest.raises(RuntimeError):
                predict_to_folder(stop_at(6, RuntimeError), path, out, outputs, overwrite=True, progress=False)

        stop()
        (out / "drive_000001.npz").unlink()
        predict_to_folder(predictor, path, out, outputs, resume=True, progress=False)
        assert (out / "drive_000001.npz").is_file()
        for file in ("state.npz", "drive_panel_000000.mp4"):
            stop()
            broken = out / "drive_unfinished" / file
            broken.write_bytes(broken.read_bytes()[:-300])
            with pytest.raises(InputError, match=f"{broken if file == 'state.npz' else broken.parent}.*overwrite"):
                predict_to_folder(predictor, path, out, outputs, resume=True, progress=False)
        stop()
        write_video(path, 10)
        with pytest.raises(InputError, match=r"not of the video .*drive\.mp4"):
            predict_to_folder(predictor, path, out, outputs, resume=True, progress=False)
        predict_to_folder(predictor, path, out, outputs, overwrite=True, progress=False)
        assert probe(out / "drive_panel.mp4").count == 10
        assert not (out / "drive_unfinished").exists()

    def test_a_run_that_fails_at_the_start_keeps_the_parts_before(self, tmp_path: Path) -> None:
        path, out = write_video(tmp_path / "drive.mp4", 11), tmp_path / "out"
        with pytest.raises(RuntimeError):
            predict_to_folder(stop_at(6, RuntimeError), path, out, progress=False)
        for error in (RuntimeError, KeyboardInterrupt):
            with pytest.raises(error):
                predict_to_folder(stop_at(0, error), path, out, Outputs(panel=False), overwrite=True, progress=False)
        rest = stop_at(7, RuntimeError)  # no more than that is predicted
        predict_to_folder(rest, path, out, resume=True, progress=False)
        assert names(out) == ["drive_panel.mp4", "predict.json"]
        assert probe(out / "drive_panel.mp4").count == 11

    def test_parts_that_a_kill_left_after_the_end_are_removed(self, predictor: Predictor, tmp_path: Path) -> None:
        path, out = write_video(tmp_path / "drive.mp4", 11), tmp_path / "out"
        with pytest.raises(RuntimeError):
            predict_to_folder(stop_at(6, RuntimeError), path, out, progress=False)
        left = out / "drive_unfinished"
        copy = left.rename(tmp_path / "copy")
        written = predict_to_folder(predictor, path, out, overwrite=True, progress=False)
        copy.rename(left)
        assert predict_to_folder(stop_at(0), path, out, resume=True, progress=False) == written
        assert not left.exists()

    def test_a_second_process_is_refused(self, predictor: Predictor, tmp_path: Path) -> None:
        path, out = write_video(tmp_path / "drive.mp4", 11), tmp_path / "out"

        def predict_again(image: Tensor) -> dict[int, Tensor]:
            with pytest.raises(InputError, match="another process writes into"):
                predict_to_folder(predictor, path, out, resume=True, progress=False)
            return red_channel(image)

        predict_to_folder(Predictor(predict_again, (32, 64)), path, out, progress=False)
        assert probe(out / "drive_panel.mp4").count == 11


class TestOutputs:
    @pytest.mark.parametrize("metres_per_unit", [None, 5.4])
    def test_a_depth_video_gives_depth_back(self, metres_per_unit: float | None, tmp_path: Path) -> None:
        path = write_video(tmp_path / "drive.mp4", 3)
        predictor = Predictor(red_channel, (32, 64), metres_per_unit=metres_per_unit)
        predict_to_folder(predictor, path, tmp_path / "out", Outputs(depth_video=True), progress=False)
        assert names(tmp_path / "out") == ["drive_depth.mkv", "drive_panel.mp4", "predict.json"]
        made = list(read_depth_video(tmp_path / "out" / "drive_depth.mkv"))
        for depth, frame in zip(made, frames(path), strict=True):
            expected = predictor(frame.image).depth * (metres_per_unit or 1)
            assert np.abs(depth - np.minimum(expected, 65535 / 256)).max() <= 0.5 / 256 + 1e-4
        with pytest.raises(InputError, match="not a depth video"):
            next(read_depth_video(tmp_path / "out" / "drive_panel.mp4"))

    def test_a_damaged_depth_video_is_named(self, predictor: Predictor, tmp_path: Path) -> None:
        path = write_video(tmp_path / "drive.mp4", 3)
        predict_to_folder(predictor, path, tmp_path / "out", Outputs(depth_video=True), progress=False)
        made = tmp_path / "out" / "drive_depth.mkv"
        with open_video(made) as (container, stream):
            middle = list(container.demux(stream))[1]
            at, size = middle.pos, middle.size
        content = made.read_bytes()
        made.write_bytes(content[: at + 10] + b"\xff" * (size - 20) + content[at + size - 10 :])
        with pytest.raises(InputError, match=r"drive_depth\.mkv is damaged"):
            list(read_depth_video(made))

    def test_an_interrupted_depth_video_is_readable(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "drive.mp4", 5)
        with pytest.raises(KeyboardInterrupt):
            predict_to_folder(stop_at(3), path, tmp_path / "out", Outputs(depth_video=True), progress=False)
        assert len(list(read_depth_video(tmp_path / "out" / "drive_depth.mkv"))) == 3

    def test_point_clouds_are_written(self, predictor: Predictor, tmp_path: Path) -> None:
        trimesh = pytest.importorskip("trimesh")
        write_image(tmp_path / "road.png", make_image())
        predict_to_folder(
            predictor, tmp_path / "road.png", tmp_path / "out", Outputs(ply=True, glb=True), progress=False
        )
        assert {"road.ply", "road.glb"} < set(names(tmp_path / "out"))
        cloud = trimesh.load(tmp_path / "out" / "road.ply")
        depth = predictor(tmp_path / "road.png").depth
        assert 0 < len(cloud.vertices) <= depth.size
        assert cloud.vertices[:, 2].min() == pytest.approx(depth.min(), rel=1e-5)
        assert b"assumed: fx = " in (tmp_path / "out" / "road.ply").read_bytes()[:400]

    def test_smoothing_lowers_the_flicker(self, tmp_path: Path) -> None:
        pytest.importorskip("cv2")
        path = write_video(tmp_path / "still.mp4", 8)
        factors = iter([1.0, 0.7] * 20)
        predictor = Predictor(lambda image: {0: red_channel(image)[0] * next(factors)}, (32, 64))
        predict_to_folder(
            predictor, path, tmp_path / "out", Outputs(smooth="exponential", flicker=True), progress=False
        )
        found = json.loads((tmp_path / "out" / "predict.json").read_text())["flicker"]
        assert 0 < found["smoothed"] < 0.7 * found["network"]

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"smooth": "exponential"}, "not one image"),
            ({"smooth": "median"}, "unknown smoothing 'median'"),
            ({"depth_video": True}, "--depth-video needs a video"),
        ],
    )
    def test_invalid_options_are_refused(
        self, predictor: Predictor, tmp_path: Path, options: dict, sentence: str
    ) -> None:
        write_image(tmp_path / "road.png", make_image())
        with pytest.raises(InputError, match=sentence):
            predict_to_folder(predictor, tmp_path / "road.png", tmp_path / "out", Outputs(**options), progress=False)
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_memory_stays_flat_over_ten_thousand_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "1.png", make_image())
    image, alive, most = np.zeros((16, 32, 3), np.uint8), [0], [0]

    class Counted(np.ndarray):
        """Counts the images that are in memory."""

        def __new__(cls):
            made = np.array(image).view(cls)
            alive[0] += 1
            most[0] = max(most[0], alive[0])
            weakref.finalize(made, lambda: alive.__setitem__(0, alive[0] - 1))
            return made

    def many(source: Path, **options: object) -> Iterator[Frame]:
        return (Frame(f"{index:05d}", Counted(), index) for index in range(10_000))

    seen: list[str] = []
    monkeypatch.setattr(hrdepth.inference.folder, "frames", many)

    def note(writer: hrdepth.inference.folder.Writer, name: str, prediction: object, *rest: object) -> None:
        seen.append(name)
        writer.done += 1

    monkeypatch.setattr(hrdepth.inference.folder.Writer, "__call__", note)
    predict_to_folder(Predictor(red_channel, (32, 32)), tmp_path, tmp_path / "out", progress=False)
    assert seen == [f"{index:05d}" for index in range(10_000)]
    assert most[0] <= 12


class TestLive:
    def test_ctrl_c_is_the_regular_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Frames that come while the network computes are dropped; what was predicted is a playable video."""
        info = probe("rtsp://host/live", live=True)
        came = [Frame(f"host-live_{index:06d}", make_image(index), index, index / 3) for index in range(9)]
        monkeypatch.setattr("hrdepth.inference.folder.frames", lambda *_, **__: (frame for frame in came))
        predict_to_folder(stop_at(4), info, tmp_path / "out", progress=False)
        assert names(tmp_path / "out") == ["host-live_panel.mp4", "predict.json"]
        video = list(frames(tmp_path / "out" / "host-live_panel.mp4"))
        assert [round(frame.seconds or 0, 2) for frame in video] == [0, 0.33, 0.67, 1.0]
        manifest = json.loads((tmp_path / "out" / "predict.json").read_text())
        assert (manifest["pictures"], manifest["complete"], manifest["input"]["kind"]) == (4, True, "live")

    def test_ctrl_c_before_the_first_frame_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("hrdepth.inference.folder.frames", lambda *_, **__: (make_frame() for _ in range(3)))
        with pytest.raises(KeyboardInterrupt):
            predict_to_folder(stop_at(0), probe("rtsp://host/live", live=True), tmp_path / "out", progress=False)
        assert not list((tmp_path / "out").glob("*"))

    def test_a_source_that_breaks_off_leaves_what_it_sent(
        self, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object, **__: object) -> Iterator[Frame]:
            yield make_frame()
            raise InputError("no images from tcp://host for 30 s: it ended")

        monkeypatch.setattr("hrdepth.inference.folder.frames", broken)
        predict_to_folder(predictor, "tcp://host/live", tmp_path / "out", progress=False)
        assert names(tmp_path / "out") == ["host-live_panel.mp4", "predict.json"]
        manifest = json.loads((tmp_path / "out" / "predict.json").read_text())
        assert manifest["skipped"] == ["no images from tcp://host for 30 s: it ended"]


def make_frame() -> Frame:
    return Frame("live_000000", make_image(), 0, 0.0)
