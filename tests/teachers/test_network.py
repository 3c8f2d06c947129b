"""Tests of teachers/network.py: processes that train together compute a teacher's maps together."""

import threading

import torch

import fake_datasets
from hrdepth.teachers.network import NetworkTeacher, TeacherMaps
from weights_files import save


def test_each_map_is_computed_once_by_all_processes_together(tmp_path, monkeypatch):
    teacher = NetworkTeacher.read(str(save(tmp_path / "net.safetensors")))
    images = []
    for number in range(20):
        images.append(tmp_path / "images" / f"{number}.png")
        fake_datasets.save(fake_datasets.image(number % 30, seed=number), images[-1])
    monkeypatch.setattr("hrdepth.teachers.labelling.POLL", 0.02)
    maps = TeacherMaps(teacher, tmp_path / "maps")
    written = []
    write = TeacherMaps.write
    monkeypatch.setattr(
        TeacherMaps, "write", lambda self, image, map_: (written.append(image), write(self, image, map_))
    )
    made = {}

    def fill(name):
        made[name] = TeacherMaps(teacher, tmp_path / "maps").fill(teacher, images, torch.device("cpu"))

    threads = [threading.Thread(target=fill, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(written) == sorted(images)
    assert made["a"] + made["b"] == len(images)
    assert all(maps.file(image).is_file() for image in images)
    assert not list((tmp_path / "maps" / "claims").iterdir())
