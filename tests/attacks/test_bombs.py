"""Small files that would expand to gigabytes, or for ever: one sentence, no memory, and an end."""

import resource
import struct
import time
import zipfile
import zlib
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from fake_run import run_folder
from hrdepth.cli import main
from hrdepth.config.safe_yaml import check_yaml, load_yaml
from hrdepth.data.cache import read_array
from hrdepth.data.camera_file import read_camera
from hrdepth.errors import InputError
from hrdepth.evaluation.predictions import read_disparities
from hrdepth.inference.predictor import Predictor
from hrdepth.io.arrays import check_archive, load_array
from hrdepth.io.images import as_rgb, image_size, read_depth, read_image
from hrdepth.io.run_folder import read_run
from hrdepth.io.video import read_video
from hrdepth.networks.backbones import build_backbone
from hrdepth.prepare.calibration_file import read_calibration
from hrdepth.training.state import _read
from hrdepth.truth.sparse_maps import read_depth_maps
from hrdepth.weights.released import import_weights
from uploads import clip

SECONDS = 20.0  # of the processor. All take less than a second; an input that is expanded takes minutes, or never ends.
MEGABYTES = 200


@contextmanager
def harmless(match):
    """Expect one short sentence, without memory, and not to wait for it."""
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(InputError, match=match) as caught:
        yield
    assert time.process_time() - started < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES * 1000
    assert len(str(caught.value)) < 700


def header(shape, kind="<f4"):
    """The header of an .npy file."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (64 - (len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def archive(path, megabytes, **members):
    """A zip archive of members, each continued by megabytes of zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, start in members.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as stream:
                stream.write(start)
                for _ in range(megabytes):
                    stream.write(bytes(2**20))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bombs")


@pytest.fixture(scope="module")
def packed(folder):
    """An .npz of 200 MB of zeros, in 200 kB."""
    path = archive(folder / "bomb.npz", 200, data=header((1, 7240, 7240)))
    assert path.stat().st_size < 400_000
    return path


@pytest.mark.parametrize("read", [read_depth_maps, read_disparities])
def test_an_archive_that_expands_a_thousandfold_is_refused(packed, read):
    with harmless("bomb.npz"):
        read(packed)


def test_the_sentence_states_the_limit(packed):
    with pytest.raises(ValueError, match=r"expands from 0\.2 MB to 210 MB; at most 100 times its size are read"):
        check_archive(packed)


@pytest.mark.parametrize("name", ["names", "sizes", "counts", "positions", "depths", "about"])
def test_an_archive_whose_arrays_claim_gigabytes_is_refused(folder, name):
    arrays = {
        "names": np.array(["a"]), "sizes": np.array([[2, 2]], np.int32), "counts": np.array([1]),
        "positions": np.array([0], np.int32), "depths": np.array([1.0], np.float32), "about": np.array("{}"),
    }  # fmt: skip
    np.savez(folder / "claims.npz", **arrays)
    assert read_depth_maps(folder / "claims.npz")[0].tolist() == [[1, 0], [0, 0]]
    with zipfile.ZipFile(folder / "claims.npz") as file:
        members = {entry[:-4]: file.read(entry) for entry in file.namelist()}
    with zipfile.ZipFile(folder / "claims.npz", "w") as file:
        for entry, content in members.items():
            lie = header((99999999999,), arrays[name].dtype.str) if entry == name else content
            file.writestr(f"{entry}.npy", lie)
    with harmless("claims.npz is damaged"):
        read_depth_maps(folder / "claims.npz")


@pytest.mark.parametrize("size", [(100000, 100000), (-1, 4), (2**31 - 1, 2**31 - 1)])
def test_sparse_maps_of_a_large_or_negative_size_are_refused(folder, size):
    np.savez(
        folder / "large.npz", names=np.array(["a"]), sizes=np.array([size], np.int32), counts=np.array([1]),
        positions=np.array([0], np.int32), depths=np.array([1.0], np.float32), about=np.array("{}"),
    )  # fmt: skip
    with harmless("large.npz is damaged"):
        read_depth_maps(folder / "large.npz")


def test_an_archive_that_holds_one_map_many_times_is_refused(folder):
    one = np.ones((500, 500), np.float64)
    maps = np.empty(2000, object)
    for index in range(len(maps)):
        maps[index] = one
    np.savez(folder / "repeated.npz", data=maps)
    assert (folder / "repeated.npz").stat().st_size < 3_000_000
    with harmless("more bytes than the archive"):
        read_depth_maps(folder / "repeated.npz")


@pytest.mark.parametrize("shape", [(99999999999, 10), (3, 999999, 999999), (-5, 2), (2**70,)])
@pytest.mark.parametrize("kind", ["<f4", "|u1"])
def test_an_array_whose_header_lies_is_refused(folder, shape, kind):
    (folder / "lie.npy").write_bytes(header(shape, kind) + bytes(400))
    for read in (read_depth, read_disparities, read_array):
        with harmless("lie.npy"):
            read(folder / "lie.npy")


@pytest.mark.parametrize("start", [b"", b"\x93NUMPY", b"\x93NUMPY\x09\x00", header("(2,)")[:30], header("((((")])
def test_an_array_whose_header_is_damaged_is_refused(folder, start):
    (folder / "damaged.npy").write_bytes(start)
    for read in (read_depth, read_disparities, read_array):
        with harmless("damaged.npy"):
            read(folder / "damaged.npy")


def test_good_arrays_are_read(folder):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save(folder / "good.npy", array)
    np.savez_compressed(folder / "good.npz", data=np.zeros((10, 300, 300), np.float32))
    assert (load_array(folder / "good.npy") == array).all()
    assert len(read_depth_maps(folder / "good.npz")) == 10


def test_torch_files_that_expand_are_refused(folder):
    torch.save({"a": torch.zeros(10)}, folder / "small.pth")
    with (
        zipfile.ZipFile(folder / "small.pth") as good,
        zipfile.ZipFile(folder / "b.pth", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in good.namelist():
            if name.endswith("data/0"):
                with bomb.open(name, "w", force_zip64=True) as stream:
                    for _ in range(200):
                        stream.write(bytes(2**20))
            else:
                bomb.writestr(name, good.read(name))
    assert (folder / "b.pth").stat().st_size < 400_000
    with harmless("cannot be read as a state dict of tensors: it expands"):
        import_weights("hrdepth", folder / "b.pth", folder / "b.pth", folder / "x.safetensors")
    with harmless("cannot be read: it expands"):
        build_backbone("test_resnet", weights=str(folder / "b.pth"))
    with harmless("not a training checkpoint"):
        _read(folder / "b.pth")


def png(path, width, height, kind, bits):
    """A PNG of zeros; kind 0 is grey, 2 RGB, 6 RGBA."""
    row = bytes(1 + (width * {0: 1, 2: 3, 6: 4}[kind] * bits + 7) // 8)
    packer = zlib.compressobj(1)
    pixels = b"".join(packer.compress(row * 64) for _ in range(height // 64)) + packer.flush()

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    start = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + start + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))
    return path


@pytest.fixture(scope="module", params=[(13056, 0, 16), (8192, 0, 16), (8192, 6, 8), (12032, 0, 1)])
def empty_image(folder, request):
    side, kind, bits = request.param
    return png(folder / f"empty-{side}-{kind}-{bits}.png", side, side, kind, bits)


def test_an_image_of_many_pixels_in_few_bytes_is_refused(empty_image):
    assert empty_image.stat().st_size < 3_000_000
    side = image_size(empty_image)[0]  # by its header
    limits = "at most 134 million are read, and above 34 million at most 32 a byte"
    with harmless(f"{side}x{side} pixels in .* MB; {limits}"):
        read_image(empty_image)
    with harmless("pixels in"):
        Predictor(lambda image: {0: image[:, :1]}, size=(32, 64))(empty_image)
    with harmless("pixels in"):
        read_depth(empty_image)


def test_an_image_of_a_camera_is_read(folder):
    assert read_image(png(folder / "ok.png", 4096, 4096, 0, 16)).size == (4096, 4096)


def test_16_bit_grey_is_rounded_as_before():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = np.rint(values.astype(np.float64) * (255 / 65535)).astype(np.uint8)
    for image in (Image.fromarray(values), Image.fromarray(values.astype(np.int32))):
        assert (np.asarray(as_rgb(image))[:, :, 0] == expected).all()
    outside = Image.fromarray(np.array([[-5, 70000]], np.int32))
    assert np.asarray(as_rgb(outside))[0, :, 0].tolist() == [0, 255]


def laughs(start="a", levels=9):
    """Each level names the one before ten times."""
    names = "abcdefghijklmnop"[: levels + 1]
    lines = [f"{start}: &a [1,1,1,1,1,1,1,1,1,1]"]
    lines += [f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]" for a, b in pairwise(names)]
    return "\n".join(lines) + "\n"


BOMBS = {
    "aliases": laughs(),
    "merged": "a: &a {k0: 1}\n" + "".join(f"b{i}: &b{i} {{<<: [*{p}, *{p}, *{p}, *{p}]}}\n"
                                          for i, p in enumerate(["a", *(f"b{i}" for i in range(19))])),
    "itself": "a: &a [*a]\n",
    "brackets": "a: " + "[" * 20000,
    "braces": "a: " + "{a: " * 20000,
    "nested": "\n".join(" " * i + "a:" for i in range(500)),
    "long": "a: " + "x" * 2**20,
    "many": "a: [" + "1," * 250_000 + "1]",
    "digits": "width: 1" + "0" * 5000,
    "date": "width: 2001-99-99",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_yaml_bombs_are_refused_by_every_reader(tmp_path, name):
    (tmp_path / "c.yaml").write_text(BOMBS[name])
    started = time.process_time()
    with pytest.raises(yaml.YAMLError):
        load_yaml(BOMBS[name])
    with harmless("c.yaml"):
        read_camera(tmp_path / "c.yaml")
    if name not in ("digits", "date"):
        with pytest.raises(InputError, match="c.yaml"):
            read_calibration(tmp_path / "c.yaml")
    run = run_folder(tmp_path / "run")
    (run / "config.yaml").write_text(BOMBS[name])
    with harmless("config.yaml is missing or damaged"):
        read_run(run)
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize("name", sorted({*BOMBS} - {"digits", "date"}))
def test_yaml_bombs_are_refused_as_a_config(tmp_path, name, capsys):
    (tmp_path / "c.yaml").write_text(BOMBS[name])
    started = time.process_time()
    with pytest.raises(SystemExit, match="2"):
        main(["scan", "--config", str(tmp_path / "c.yaml")])
    assert time.process_time() - started < SECONDS
    assert "config" in capsys.readouterr().err


def test_aliases_within_the_limit_are_read():
    assert load_yaml("a: &a [1, 2]\nb: [*a, *a]\nc: {<<: {d: 1}}") == {
        "a": [1, 2],
        "b": [[1, 2], [1, 2]],
        "c": {"d": 1},
    }
    check_yaml(laughs(levels=3))


def test_a_video_of_too_large_frames_is_refused(tmp_path):
    path = clip(tmp_path / "a.mp4", frames=3, size=(48, 64))
    assert len(list(read_video(path))) == 3
    with pytest.raises(InputError, match=r"a\.mp4 has frames of 64x48; at most"):
        list(read_video(path, most_pixels=2000))


def test_many_keys_are_not_compared_in_pairs(tmp_path):
    (tmp_path / "camera.yaml").write_text("".join(f"a{number}:\n" for number in range(80_000)) + "a79999:\n")
    with harmless("'a79999' is given twice"):
        read_camera(tmp_path / "camera.yaml")
