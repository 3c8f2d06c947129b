"""Tests of app/visitors.py.

Hostile and damaged uploads get one sentence and nothing large is decoded; what is remembered of visitors goes.
"""

import numpy as np
import pytest
from clips import damage, timed
from PIL import Image

from hrdepth.app import visitors
from hrdepth.app.answers import load_upload
from hrdepth.app.visitors import Sessions, clip_frames, kind_of, read_upload
from hrdepth.config import UploadLimits
from hrdepth.errors import InputError
from hrdepth.inference.prediction import Prediction
from hrdepth.io.video_writer import VideoWriter
from uploads import HOSTILE, claim, clip

LIMITS = UploadLimits(megabytes=2, megapixels=0.5, side=2000, seconds=1)


def taken(path):
    if kind_of(path, LIMITS) == "image":
        return read_upload(path, LIMITS)
    return list(clip_frames(path, LIMITS))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tif", ".gif", ".ppm"])
def test_images_are_recognised_by_content(tmp_path, suffix):
    Image.linear_gradient("L").convert("RGB").save(tmp_path / f"a{suffix}")
    renamed = (tmp_path / f"a{suffix}").rename(tmp_path / "a.mp4")
    assert kind_of(renamed, LIMITS) == "image"
    assert read_upload(renamed, LIMITS).size == (256, 256)


def test_a_clip_is_recognised_by_content(tmp_path):
    renamed = clip(tmp_path / "a.mp4").rename(tmp_path / "a.jpg")
    frames = taken(renamed)
    assert len(frames) == 8
    assert frames[0].image.shape == (48, 64, 3)
    assert frames[0].fps == pytest.approx(25)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_with_a_message(tmp_path, name):
    content, sentence = HOSTILE[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        taken(tmp_path / name)
    assert name in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_truncated_image_is_refused_with_a_message(tmp_path, suffix, share):
    path = tmp_path / f"a{suffix}"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (200, 300, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match="cannot be read"):
        taken(path)


def test_a_truncated_clip_is_refused_with_a_message(tmp_path):
    path = clip(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError):
        taken(path)


def test_a_clip_cut_between_frames_is_refused_with_a_message(tmp_path):
    path = tmp_path / "a.mp4"
    rng = np.random.default_rng(0)
    with VideoWriter(path, 25) as video:
        for _ in range(10):
            video.write(rng.integers(0, 255, (64, 96, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[: int(0.7 * path.stat().st_size)])
    with pytest.raises(InputError, match=r"damaged after frame \d"):
        taken(path)


@pytest.mark.parametrize("number", [0, 5])
def test_a_clip_with_a_damaged_packet_is_read(tmp_path, number, caplog):
    path = timed(tmp_path / "a.mp4", [np.full((64, 96, 3), 20 + 4 * index, np.uint8) for index in range(8)], gop=4)
    with caplog.at_level("WARNING"):
        found = taken(damage(path, number))
    assert 4 <= len(found) < 8
    assert "1 of its packets left out" in caplog.text


def test_a_long_clip_is_refused_by_its_header(tmp_path):
    path = clip(tmp_path / "a.mp4", frames=40)
    with pytest.raises(InputError, match="longer than 1 s"):
        next(iter(clip_frames(path, LIMITS)))


def test_a_large_clip_is_refused_by_its_header(tmp_path):
    path = clip(tmp_path / "a.mp4", frames=2, size=(720, 1280))
    with pytest.raises(InputError, match="1280x720 pixels"):
        next(iter(clip_frames(path, LIMITS)))


def test_a_clip_longer_than_its_header_claims_is_stopped(tmp_path):
    path = claim(clip(tmp_path / "a.mp4", frames=40), length=1)
    seen = []
    with pytest.raises(InputError, match="longer than 1 s"):
        seen.extend(clip_frames(path, LIMITS))
    assert len(seen) <= 26


def test_a_clip_that_claims_a_thousand_frames_a_second_is_bounded(tmp_path):
    path = clip(tmp_path / "a.mp4", frames=150, size=(16, 16), fps=1000)
    with pytest.raises(InputError, match="longer than 1 s"):
        taken(path)


def test_sessions_are_separate_and_end_separately(tmp_path):
    sessions = Sessions(tmp_path)
    first, second = sessions.of("a"), sessions.of("b")
    assert sessions.of("a") is first
    assert first.folder != second.folder
    first.fresh(".png").write_text("x")
    sessions.close("a")
    sessions.close("unknown")
    assert not first.folder.exists()
    assert second.folder.exists()
    assert sessions.of("a") is not first


def test_the_longest_idle_session_ends_when_there_are_too_many(tmp_path):
    sessions = Sessions(tmp_path, max_sessions=2)
    first, second = sessions.of("a"), sessions.of("b")
    sessions.of("a")
    sessions.of("c")
    assert len(sessions) == 2
    assert first.folder.exists()
    assert not second.folder.exists()


def test_a_session_ends_after_an_idle_hour(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(visitors, "monotonic", lambda: clock[0])
    sessions = Sessions(tmp_path)
    first = sessions.of("a")
    clock[0] = 3601.0
    sessions.of("b")
    assert not first.folder.exists()


def test_sessions_are_removed_within_the_promised_hour_though_nobody_comes(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(visitors, "monotonic", lambda: clock[0])
    sessions = Sessions(tmp_path)
    first = sessions.of("a")
    clock[0] = 3600.0 - visitors.PURGE_SECONDS
    sessions.purge()
    assert not first.folder.exists()
    assert len(sessions) == 0


def test_a_visitor_with_many_sessions_evicts_their_own(tmp_path):
    sessions = Sessions(tmp_path, max_sessions=8)
    victim, other = sessions.of("victim", "a"), sessions.of("other", "c")
    flood = [sessions.of(f"flood {number}", "b") for number in range(33)]
    assert [victim.folder.exists(), other.folder.exists(), len(sessions)] == [True, True, 8]
    assert [session.folder.exists() for session in flood] == [False] * 27 + [True] * 6


def test_images_and_predictions_of_sessions_are_on_the_disk(tmp_path):
    session = Sessions(tmp_path).of("a")
    image = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    session.store(image)
    session.answer(Prediction(np.full((30, 40), 0.25, np.float32), image))
    for array in (session.image, session.prediction.image, session.prediction.disparity):
        assert isinstance(array.base, np.memmap)
    assert np.array_equal(session.answered.image, image)
    assert session.answered.depth.max() < 100
    assert "depth" not in vars(session.prediction)  # nor is what was computed from it kept
    session.store(image[:20])
    assert session.image.shape == (20, 40, 3)
    with pytest.raises(InputError, match="no image yet"):
        _ = session.answered


def test_a_new_upload_replaces_the_clip_before(tmp_path):
    session = Sessions(tmp_path).of("a")
    clip(tmp_path / "first.mp4", 2)
    load_upload(session, tmp_path / "first.mp4", LIMITS)
    first = session.clip
    clip(tmp_path / "second.mov", 2)
    load_upload(session, tmp_path / "second.mov", LIMITS)
    assert not first.exists()
    assert session.clip.exists()
    Image.new("RGB", (32, 32)).save(tmp_path / "third.png")
    load_upload(session, tmp_path / "third.png", LIMITS)
    assert session.clip is None
    assert not list(session.folder.glob("clip*"))


def test_a_new_prediction_deletes_the_files_of_the_last(tmp_path):
    session = Sessions(tmp_path).of("a")
    session.begin()
    old = session.fresh(".png")
    old.write_text("x")
    session.begin()
    assert not old.exists()
    assert session.fresh(".png").parent.is_dir()
    with pytest.raises(InputError, match="no image yet"):
        _ = session.answered
