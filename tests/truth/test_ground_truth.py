"""Tests of truth/base.py, folders.py, kitti.py, pickled.py and sparse_maps.py.

Where true depth comes from, and archives that want more than to be read.
"""

import io
import os
import pickle
import zipfile
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from hrdepth.config import DepthProtocol, EvaluateConfig, GroundTruthConfig
from hrdepth.errors import InputError
from hrdepth.evaluation.command import evaluate
from hrdepth.truth import GROUND_TRUTHS, GroundTruth, GroundTruthSet, build_ground_truth, depth_protocol, read_depth
from hrdepth.truth.sparse_maps import read_depth_maps, write_sparse_maps

DRIVE = "2011_09_26/2011_09_26_drive_0001_sync"
CAMERA = "S_rect_0{0}: 8 6\nP_rect_0{0}: 4 0 4 {1} 0 4 3 0 0 0 1 0\n"


def build(kind, **settings):
    return build_ground_truth(GroundTruthConfig(kind=kind, **{k: str(v) for k, v in settings.items()}))


@pytest.fixture
def kitti(tmp_path):
    """KITTI raw with one image and two scans of one point each, 5 and 6 m ahead of the laser."""
    day, drive = tmp_path / "2011_09_26", tmp_path / DRIVE
    (drive / "image_02" / "data").mkdir(parents=True)
    (drive / "velodyne_points" / "data").mkdir(parents=True)
    text = "R_rect_00: 1 0 0 0 1 0 0 0 1\n" + CAMERA.format(2, 0) + CAMERA.format(3, -4)
    (day / "calib_cam_to_cam.txt").write_text(text)
    (day / "calib_velo_to_cam.txt").write_text("R: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 -1\n")
    Image.new("RGB", (8, 6), "red").save(drive / "image_02" / "data" / "0000000003.png")
    for frame, metres in ((3, 5), (4, 6)):
        scan = np.array([[metres, 0, 0, 0]], dtype="<f4")
        (drive / "velodyne_points" / "data" / f"{frame:010d}.bin").write_bytes(scan.tobytes())
    (tmp_path / "test.txt").write_text(f"{DRIVE} 0000000004 l\n{DRIVE} 3 l\n{DRIVE} 3 r\n")
    return tmp_path


def test_true_depth_is_read_from_kitti_lidar(kitti):
    truths = build("kitti_lidar", root=kitti, split=kitti / "test.txt")
    assert len(truths) == 3
    first, second, right = truths
    assert (first.name, first.image) == (f"{DRIVE} 0000000004 l", None)
    assert second.image == kitti / DRIVE / "image_02" / "data" / "0000000003.png"
    assert first.depth.shape == (6, 8)
    assert first.depth.dtype == np.float32
    assert first.depth[2, 3] == 6
    assert first.depth.astype(bool).sum() == 1
    assert second.depth[2, 3] == 5
    assert right.depth[2, 2] == 5  # one pixel left: 4 / (5 - 1)
    np.testing.assert_array_equal(first.intrinsics, [[4, 0, 4], [0, 4, 3], [0, 0, 1]])
    assert str(kitti) not in truths.description


def test_kitti_lidar_depth_is_along_the_cameras_axis(kitti):
    truths = build("kitti_lidar", root=kitti, split=kitti / "test.txt", lidar_depth="camera")
    assert truths[0].depth[2, 3] == 5
    assert "camera's z" in truths.description


def test_kitti_lidar_reads_lazily_and_names_what_is_missing(kitti):
    scan = kitti / DRIVE / "velodyne_points" / "data" / "0000000003.bin"
    scan.write_bytes(scan.read_bytes()[:7])
    truths = build("kitti_lidar", root=kitti, split=kitti / "test.txt")
    assert truths[0].depth.any()
    with pytest.raises(InputError, match="cut short") as error:
        truths[1]
    assert str(scan) in str(error.value)
    assert f"{kitti / 'test.txt'}:2" in str(error.value)


def test_kitti_lidar_of_real_frames_has_known_depths(shared):
    mini = shared / "kitti-mini"
    truths = build("kitti_lidar", root=mini / "raw", split=mini / "splits" / "raw_test.txt")
    assert len(truths) == 25
    assert truths[0].image.suffix == ".jpg"
    with np.load(shared / "parity" / "lidar.npz") as reference:
        assert (truths[0].depth > 0).sum() == len(reference["frame0_depth"])


def save_depth_png(path, metres):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.asarray(metres) * 256).astype(np.uint16)).save(path)


def test_true_depth_is_read_from_a_folder(tmp_path):
    metres = np.array([[0, 1.5], [80, 255.5]], dtype=np.float32)
    save_depth_png(tmp_path / "depth" / "b.png", metres)
    np.save(tmp_path / "depth" / "a.npy", metres.astype(np.float64) * 2)
    truths = build("folder", root=tmp_path)
    assert [truth.name for truth in truths] == ["a", "b"]
    assert [truth.image for truth in truths] == [None, None]
    np.testing.assert_array_equal(truths[0].depth, metres * 2)
    np.testing.assert_array_equal(truths[1].depth, metres)
    (tmp_path / "image").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "image" / "b.jpg")
    assert build("folder", root=tmp_path)[1].image == tmp_path / "image" / "b.jpg"


def test_no_depth_map_is_left_out_for_its_spelling(tmp_path, caplog):
    for name, value in (("a.png", 1.0), ("b.PNG", 2.0), ("d.Png", 4.0)):
        save_depth_png(tmp_path / "depth" / "map.png", [[value]])
        (tmp_path / "depth" / "map.png").rename(tmp_path / "depth" / name)
    np.save(tmp_path / "depth" / "c.npy", np.full((1, 1), 3.0))
    (tmp_path / "depth" / "c.npy").rename(tmp_path / "depth" / "c.NPY")
    (tmp_path / "depth" / "._a.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / "image").mkdir()
    for name in ("a.JPG", "b.webp", "c.JPEG", "d.tiff", "extra.png"):
        Image.new("RGB", (2, 2)).save(tmp_path / "image" / name)
    truths = build("folder", root=tmp_path)
    assert [truth.depth.item() for truth in truths] == [1, 2, 3, 4]
    assert [truth.image.name for truth in truths] == ["a.JPG", "b.webp", "c.JPEG", "d.tiff"]
    assert "1 files are left out" in caplog.text
    assert "1 images have no depth map and are left out, such as extra.png" in caplog.text


def test_true_depth_of_real_frames_is_read_from_a_folder(shared):
    truths = build("folder", root=shared / "kitti-mini" / "singles")
    assert len(truths) == 8
    assert all(truth.image is not None and (truth.depth > 0).sum() > 1000 for truth in truths)
    assert 0 < max(truth.depth.max() for truth in truths) < 120


def test_bad_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no depth maps"):
        build("folder", root=tmp_path)
    save_depth_png(tmp_path / "depth" / "a.png", [[1.0]])
    np.save(tmp_path / "depth" / "a.npy", np.ones((1, 1)))
    with pytest.raises(InputError, match=r"both a\.png and a\.npy"):
        build("folder", root=tmp_path)
    with pytest.raises(InputError, match="has no split"):
        build("folder", root=tmp_path, split="eigen/test")


@pytest.mark.parametrize(
    ("name", "content", "hint"),
    [
        ("a.npy", np.ones((2, 2), dtype=int), "float metres"),
        ("a.npy", np.ones((2, 2, 1)), "float metres"),
        ("a.npy", np.array([None]), "cannot be read"),
        ("a.npy", b"\x93NUMPY", "cannot be read"),
        ("a.png", Image.new("L", (2, 2)), "16-bit"),
        ("a.png", Image.new("RGB", (2, 2)), "16-bit"),
        ("a.png", b"\x89PNG\r\n\x1a\n cut", "cannot be read"),
    ],
)
def test_bad_depth_maps_are_refused(tmp_path, name, content, hint):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, Image.Image):
        content.save(path)
    else:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(InputError, match=hint) as error:
        read_depth(path)
    assert str(path) in str(error.value)


def test_a_depth_map_is_turned_as_its_image_is(tmp_path):
    """By EXIF data, as a phone's export has them; half a turn does not show in the shape."""
    depth = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    exif = Image.Exif()
    exif[0x112] = 3
    Image.fromarray((256 * depth).astype(np.uint16)).save(tmp_path / "a.png", exif=exif)
    assert read_depth(tmp_path / "a.png").tolist() == depth[::-1, ::-1].tolist()


def test_truncated_and_missing_depth_maps_are_named(tmp_path):
    save_depth_png(tmp_path / "a.png", np.random.default_rng(0).uniform(1, 80, (50, 50)))
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-2000])
    with pytest.raises(InputError, match="cannot be read"):
        read_depth(tmp_path / "a.png")
    for name in ("b.png", "b.npy"):
        with pytest.raises(InputError, match="does not exist"):
            read_depth(tmp_path / name)


def test_a_synthetic_drives_depth_is_found(tmp_path):
    for kind in ("left", "depth"):
        (tmp_path / "street" / kind).mkdir(parents=True)
    Image.new("RGB", (3, 2)).save(tmp_path / "street" / "left" / "000007.png")
    metres = np.full((2, 3), 4.5, np.float32)
    np.save(tmp_path / "street" / "depth" / "000007.npy", metres)
    (tmp_path / "val.txt").write_text("street 7 l\nstreet 8 l\n")
    truths = build("drive", root=tmp_path)
    assert len(truths) == 2
    np.testing.assert_array_equal(truths[0].depth, metres)
    assert truths[0].image == tmp_path / "street" / "left" / "000007.png"
    with pytest.raises(InputError, match="no depth map of frame 8") as error:
        truths[1]
    assert "val.txt:2" in str(error.value)
    (tmp_path / "val.txt").write_text("street 7 r\n")
    with pytest.raises(InputError, match="left frames only"):
        build("drive", root=tmp_path)


def test_missing_and_meaningless_settings_are_refused(tmp_path):
    for kind in GROUND_TRUTHS:
        with pytest.raises(InputError, match=f"ground truth '{kind}' needs (root|depths)"):
            build(kind)
    with pytest.raises(InputError, match="did you mean 'folder'"):
        build("foldr")
    for kind in ("kitti_lidar", "folder", "drive"):
        with pytest.raises(InputError, match="needs root"):
            build(kind)
        with pytest.raises(InputError, match="does not exist"):
            build(kind, root=tmp_path / "none")
        with pytest.raises(InputError, match="has no depths"):
            build(kind, root=tmp_path, depths="gt_depths.npz")
    with pytest.raises(InputError, match="needs depths"):
        build("gt_depths")


class Toy(GroundTruthSet):
    """One frame, 5 m away, whose published numbers have their own range and log10."""

    protocol: ClassVar = {"max_depth": 10.0}
    metrics = ("log10",)
    description = "a toy"

    def __init__(self, config):
        pass

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return GroundTruth("a", None, np.full((4, 6), 5.0, np.float32))


def test_a_new_kind_declares_its_protocol_and_metrics(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(GROUND_TRUTHS, "toy", Toy)
    np.save(tmp_path / "disparities.npy", np.full((1, 4, 6), 0.1, np.float32))
    config = EvaluateConfig(
        GroundTruthConfig("toy"), disparities=str(tmp_path / "disparities.npy"), protocol=DepthProtocol(crop="none")
    )
    found = evaluate(config)
    assert found.protocol == DepthProtocol(max_depth=10.0, crop="none")
    assert "log10" in capsys.readouterr().out


def test_unset_protocol_values_are_the_data_sets():
    given = DepthProtocol(scaling=5.4)
    assert depth_protocol("make3d", given) == DepthProtocol(max_depth=70.0, crop="none", scaling=5.4)
    assert depth_protocol("cityscapes", given) == DepthProtocol(max_depth=80.0, crop="none", scaling=5.4)
    for kind in set(GROUND_TRUTHS) - {"make3d", "cityscapes"}:
        assert depth_protocol(kind, given) == DepthProtocol(max_depth=80.0, crop="garg", scaling=5.4)
    assert depth_protocol("make3d", DepthProtocol(max_depth=50.0)) == DepthProtocol(max_depth=50.0, crop="none")
    whole = DepthProtocol(max_depth=80.0, crop="garg")  # nothing is null
    assert depth_protocol("make3d", whole) == whole == DepthProtocol().complete()
    with pytest.raises(InputError, match="scaling factor"):
        depth_protocol("make3d", DepthProtocol(scaling=-1.0))


MAPS = [np.full((2, 3), 1.5, np.float32), np.arange(20, dtype=np.float32).reshape(4, 5)]


def objects(maps):
    array = np.empty(len(maps), dtype=object)
    array[:] = maps
    return array


def archive(path, pickled, key="data"):
    """Write an .npz whose array of objects is the given pickle."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": (2,)})
    with zipfile.ZipFile(path, "w") as stream:
        stream.writestr(f"{key}.npy", header.getvalue() + pickled)
    return path


def test_gt_depths_saved_by_numpy_are_read(tmp_path):
    path = tmp_path / "gt_depths.npz"
    np.savez_compressed(path, data=objects(MAPS))
    truths = build("gt_depths", depths=path)
    assert len(truths) == 2
    for truth, expected in zip(truths, MAPS, strict=True):
        np.testing.assert_array_equal(truth.depth, expected)
        assert truth.depth.dtype == np.float32
        assert truth.image is None
    assert [truth.name for truth in truths] == ["000000", "000001"]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("module", [b"numpy.core", b"numpy._core"])
def test_gt_depths_of_every_pickle_protocol_and_numpy_version_are_read(tmp_path, protocol, module):
    maps = [MAPS[0], np.asfortranarray(MAPS[1]).astype(">f8")]
    pickled = pickle.dumps(objects(maps), protocol)
    own = b"numpy._core" if b"numpy._core" in pickled else b"numpy.core"
    if protocol < 4:  # names end with a newline there, so that their lengths may change
        pickled = pickled.replace(own, module)
        assert module in pickled
    truths = build("gt_depths", depths=archive(tmp_path / "gt.npz", pickled))
    for truth, expected in zip(truths, maps, strict=True):
        np.testing.assert_array_equal(truth.depth, expected)


def test_gt_depths_of_one_size_are_not_pickled(tmp_path):
    maps = np.random.default_rng(0).uniform(1, 80, (3, 2, 4)).astype(np.float32)
    for number, array in enumerate((maps, np.asfortranarray(maps))):
        np.savez(tmp_path / f"{number}.npz", data=array)
        truths = build("gt_depths", depths=tmp_path / f"{number}.npz")
        np.testing.assert_array_equal([truth.depth for truth in truths], maps)


def test_gt_depths_can_be_paired_with_images(kitti):
    np.savez(kitti / "gt.npz", data=objects([*MAPS, MAPS[0]]))
    truths = build("gt_depths", depths=kitti / "gt.npz", root=kitti, split=kitti / "test.txt")
    assert [truth.image is None for truth in truths] == [True, False, True]
    assert truths[1].name == f"{DRIVE} 3 l"
    with pytest.raises(InputError, match="both or neither"):
        build("gt_depths", depths=kitti / "gt.npz", root=kitti)
    np.savez(kitti / "gt.npz", data=objects(MAPS))
    with pytest.raises(InputError, match=r"2 depth maps.* 3 lines"):
        build("gt_depths", depths=kitti / "gt.npz", root=kitti, split=kitti / "test.txt")


def export(kitti, name, lidar_depth):
    """A file as `hrdepth prepare kitti` writes it."""
    scans = build("kitti_lidar", root=kitti, split=kitti / "test.txt", lidar_depth=lidar_depth)
    about = {"ground_truth": scans.description}
    return write_sparse_maps(kitti / name, iter([(truth.name, truth.depth) for truth in scans]), about)


def test_gt_depths_declare_their_kind_of_depth(kitti):
    laser, camera = (export(kitti, f"{kind}.npz", kind) for kind in ("laser", "camera"))
    scans = build("kitti_lidar", root=kitti, split=kitti / "test.txt")
    assert build("gt_depths", depths=laser).description == scans.description
    with_images = build("gt_depths", depths=camera, root=kitti, split=kitti / "test.txt")
    assert with_images.description == scans.description.replace("the laser's forward coordinate", "the camera's z")
    np.savez(kitti / "gt.npz", data=objects(MAPS))
    assert build("gt_depths", depths=kitti / "gt.npz").description == "depth maps of gt.npz"


def test_gt_depths_have_the_k_of_kitti_raw(kitti):
    file = export(kitti, "gt_depths.npz", "laser")
    settings = {"depths": file, "root": kitti, "split": kitti / "test.txt"}
    scans = build("kitti_lidar", root=kitti, split=kitti / "test.txt")
    for one, other in zip(build("gt_depths", **settings), scans, strict=True):
        np.testing.assert_array_equal(one.intrinsics, other.intrinsics)
    # Of maps of another size nothing is known, nor without the calibration.
    np.savez(kitti / "gt.npz", data=objects([*MAPS, MAPS[0]]))
    others = build("gt_depths", **settings | {"depths": kitti / "gt.npz"})
    assert [truth.intrinsics for truth in others] == [None] * 3
    calibration = kitti / "2011_09_26" / "calib_cam_to_cam.txt"
    calibration.write_text("R_rect_00: 1\n")
    with pytest.raises(InputError, match=r"test.txt:1: .*P_rect_02"):
        build("gt_depths", **settings)[0]
    calibration.unlink()
    assert build("gt_depths", **settings)[0].intrinsics is None


def test_maps_whose_names_are_not_frames_are_refused(kitti):
    names = ("a", "b c d", f"{DRIVE} 3 r")
    write_sparse_maps(kitti / "gt.npz", iter([(name, np.ones((6, 8), dtype=np.float32)) for name in names]), {})
    with pytest.raises(InputError, match=r"gt.npz holds the depth of 'a' where the split has .* 0000000004 l'"):
        build("gt_depths", depths=kitti / "gt.npz", root=kitti, split=kitti / "test.txt")
    assert build("gt_depths", depths=kitti / "gt.npz").description == "depth maps of gt.npz"
    with np.load(kitti / "gt.npz") as archive:
        np.savez(kitti / "list.npz", **{**archive, "about": np.array("[]")})
    with pytest.raises(InputError, match="damaged.*no JSON object"):
        build("gt_depths", depths=kitti / "list.npz")


class Payload:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("place", ["alone", "among maps"])
def test_a_pickle_that_runs_commands_is_refused_and_runs_nothing(tmp_path, protocol, place):
    marker = tmp_path / "ran"
    payload = Payload(os.system, f"touch '{marker}'")
    pickled = pickle.dumps(payload if place == "alone" else objects([MAPS[0], payload]), protocol)
    pickle.loads(pickled)  # the payload is real
    assert marker.exists()
    marker.unlink()
    path = archive(tmp_path / "gt.npz", pickled)
    with pytest.raises(InputError, match="is refused: it asks for ") as error:
        build("gt_depths", depths=path)
    assert str(path) in str(error.value)
    assert not marker.exists()


@pytest.mark.parametrize(
    "payload",
    [
        Payload(eval, "1"),
        Payload(getattr, "a", "upper"),
        Payload(np.load, "x.npy"),
        Payload(np.fromfile, "x.bin"),
        np.float32(1),
        np.ma.ones(2),
        os.getcwd,
    ],
)
def test_anything_but_an_array_is_refused(tmp_path, payload):
    path = archive(tmp_path / "gt.npz", pickle.dumps(objects([MAPS[0], payload])))
    with pytest.raises(InputError, match="refused"):
        build("gt_depths", depths=path)


def test_arrays_with_false_states_are_refused(tmp_path):
    honest = pickle.dumps(objects(MAPS), 2)
    # The outer array of two claims a hundred: NumPy itself would read beyond the list.
    false = honest.replace(b"K\x02\x85", b"Kd\x85", 1)
    assert false != honest
    with pytest.raises(InputError, match="not a row of maps"):
        build("gt_depths", depths=archive(tmp_path / "a.npz", false))
    false = honest.replace(b"K\x04K\x05\x86", b"K\x04K\x06\x86", 1)
    assert false != honest
    with pytest.raises(InputError, match="too few"):
        build("gt_depths", depths=archive(tmp_path / "b.npz", false))


def test_rows_of_rows_are_refused_at_once(tmp_path):
    """Each row holds the one below it ten times: 10^12 maps in a kilobyte."""
    inner = objects([MAPS[0]])
    for _ in range(12):
        inner = objects([inner] * 10)
    path = archive(tmp_path / "gt.npz", pickle.dumps(inner))
    with pytest.raises(InputError, match="an array of objects where a map is due"):
        build("gt_depths", depths=path)


@pytest.mark.parametrize(
    "changes",
    [
        {"counts": np.array([2**40, 1])}, {"counts": np.array([2**62, 2**62])}, {"counts": np.array([-1, 3])},
        {"counts": np.array([1.0, 1.0])}, {"positions": np.array([0.0, 1.0])}, {"sizes": np.array([[2.0, 3.0]] * 2)},
        {"sizes": np.array([2, 3])}, {"depths": np.ones((2, 1), np.float32)}, {"depths": np.array(["a", "b"])},
        {"positions": np.array([6, 0])}, {"names": np.array(["a 1 l"])},
    ],
)  # fmt: skip
def test_sparse_maps_whose_arrays_do_not_fit_together_are_refused_at_once(tmp_path, changes):
    arrays = {
        "names": np.array(["a 1 l", "a 2 l"]), "sizes": np.array([[2, 3]] * 2), "counts": np.array([1, 1]),
        "positions": np.array([0, 1]), "depths": np.ones(2, np.float32), "about": np.array("{}"),
    }  # fmt: skip
    np.savez(tmp_path / "gt.npz", **arrays)
    assert [map_.sum() for map_ in read_depth_maps(tmp_path / "gt.npz")] == [1, 1]
    np.savez(tmp_path / "gt.npz", **(arrays | changes))
    with pytest.raises(InputError, match=r"do not fit together.*--ground-truth --overwrite true"):
        read_depth_maps(tmp_path / "gt.npz")


def test_archives_with_other_content_are_refused(tmp_path):
    path = tmp_path / "gt.npz"
    np.savez(path, depths=MAPS[0])
    with pytest.raises(InputError, match="no array 'data'; it has depths"):
        build("gt_depths", depths=path)
    np.savez(path, data=np.ones(3))
    with pytest.raises(InputError, match="it must hold depth maps"):
        build("gt_depths", depths=path)
    np.savez(path, data=objects([MAPS[0], np.ones((2, 2), dtype=int)]))
    with pytest.raises(InputError, match="not floats"):
        build("gt_depths", depths=path)
    np.savez(path, data=objects([[1.0, 2.0], MAPS[0]]))
    with pytest.raises(InputError, match="list where an array is due"):
        build("gt_depths", depths=path)
    np.savez(path, data=np.empty(0, dtype=object))
    with pytest.raises(InputError, match="no maps"):
        build("gt_depths", depths=path)
    for content in (b"", b"PK no archive"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="damaged"):
            build("gt_depths", depths=path)
    archive(path, pickle.dumps(objects(MAPS))[:-40])
    with pytest.raises(InputError, match=r"damaged|refused"):
        build("gt_depths", depths=path)
    with pytest.raises(InputError, match="does not exist"):
        build("gt_depths", depths=tmp_path / "none.npz")
