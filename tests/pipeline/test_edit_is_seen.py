# SPDX-License-Identifier: Apache-2.0
"""An artist keys the jaw in Blender, renders through the socket, and sees it on the plates: there, and only there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from dubplate_backend.plates.exr import Exr, pixel_hash, read_exr
from dubplate_backend.plates.source import ShotPlates
from dubplate_backend.rendering import render_shot
from dubplate_backend.speech.sound import write_wav
from dubplate_backend.tracking.faces import FaceFinder
from dubplate_shared.landmarks import LOWER_INNER_LIP, UPPER_INNER_LIP, lip_gap
from dubplate_shared.plate_names import plate_path
from dubplate_shared.rotations import matrix_from_axis_angle
from dubplate_shared.shot import Shot
from dubplate_shared.take import Take

RENDERED = range(1090, 1121)
EDITED = range(1100, 1111)
MEASURED = range(1103, 1108)
WINDOW_REACH = 2  # frames to each side that a frame's pixels depend on: T = 5
OPEN_BY_DEG = 10.0
CLOSED_GAP = 0.02  # of the inter-ocular distance
MOST_MOVED_BY_SOUND = 0.01  # likewise
RATE = 16000


@dataclass(frozen=True)
class Rendered:
    take: Take
    folder: Path


def read_plate(rendered: Rendered, shot: Shot, frame: int) -> Exr:
    return read_exr(plate_path(rendered.folder, shot.info.name, 1, frame))


def plate_hash(rendered: Rendered, shot: Shot, frame: int) -> str:
    return hash_of_file(plate_path(rendered.folder, shot.info.name, 1, frame))


@cache
def hash_of_file(path: Path) -> str:
    """Of all pixels of all layers, as read from the file."""
    return pixel_hash(read_exr(path).parts)


def gap_on_plate(rendered: Rendered, shot: Shot, frame: int) -> float:
    """What FaceMesh measures on the plate, over the inter-ocular distance."""
    channels = read_plate(rendered, shot, frame).part("rgba").channels
    rgb = np.stack([channels[name] for name in "RGB"], axis=-1).astype(np.float32)
    rgb = np.clip(np.round(rgb * 255), 0, 255).astype(np.uint8)
    with FaceFinder() as finder:
        found = finder.follow(rgb)
    assert found is not None, f"FaceMesh sees no face on {frame}"
    return float(lip_gap(found[0]))


def head_px(take: Take, shot: Shot, frame: int) -> np.ndarray:
    """(468, 2): the posed head's points as the shot's camera sees them."""
    assert shot.rig is not None
    index, track = shot.index(frame), shot.track
    vertices = shot.rig.pose(take.expression[index], take.jaw[index], track.neck[index], track.eyes[index])
    points = shot.rig.landmarks(vertices) @ matrix_from_axis_angle(track.rotation[index]).T + track.translation[index]
    fx, fy, cx, cy = track.intrinsics[index]
    return np.stack([fx * points[:, 0] / points[:, 2] + cx, fy * points[:, 1] / points[:, 2] + cy], axis=-1)


def gap_of_head(take: Take, shot: Shot, frame: int) -> float:
    """The projected gap over the inter-ocular distance."""
    return float(lip_gap(head_px(take, shot, frame)))


def lip_height(take: Take, shot: Shot, frame: int) -> float:
    """How far the lower inner lip lies below the upper one, px; negative where they have passed each other."""
    points = head_px(take, shot, frame)
    return float(points[LOWER_INNER_LIP, 1] - points[UPPER_INNER_LIP, 1])


@pytest.fixture(scope="module")
def render(shot: Shot, actor: Path, connection: Path, plates_root: Path):
    """Import the shot in Blender, edit the jaw bone's curve over EDITED, render RENDERED through the socket."""
    bpy = pytest.importorskip("bpy")
    import blender_addon
    from blender_addon.connection.client import Client
    from blender_addon.curves.channels import JAW
    from blender_addon.curves.performance import read_channels, read_take
    from blender_addon.layers.offsets import reach
    from blender_addon.scene.import_shot import import_shot

    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    blender_addon.register()

    def edit_and_render(name: str, edit) -> Rendered:
        bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
        armature = import_shot(shot.path)
        opening = read_channels(armature, [JAW[0]], EDITED)[:, 0]
        reach(armature, EDITED, {JAW[0]: [edit(*pair) for pair in zip(opening, EDITED, strict=True)]})
        take = read_take(armature, name=name)
        with Client.connect(connection) as client:
            job = client.submit(
                shot=client.asset_id(shot.path),
                actor=client.asset_id(actor),
                frames=f"{RENDERED[0]}-{RENDERED[-1]}",
                output=client.output_id(plates_root / name),
                take=name,
                expression=take.expression,
                jaw=take.jaw,
                eyes=take.eyes,
            )
            client.wait(job, timeout=600)
        return Rendered(take, plates_root / name)

    yield edit_and_render
    blender_addon.unregister()


@pytest.fixture(scope="module")
def filmed(render) -> Rendered:
    return render("filmed", lambda angle, _: angle)


@pytest.fixture(scope="module")
def opened(render) -> Rendered:
    return render("opened", lambda angle, _: angle + np.radians(OPEN_BY_DEG))


@pytest.fixture(scope="module")
def closed(render, shot: Shot) -> Rendered:
    """As an artist closes a mouth: the jaw comes up until the lips of the head meet."""
    return render("closed", lambda _, frame: closing_angle(shot, frame))


def closing_angle(shot: Shot, frame: int) -> float:
    """The jaw's angle [rad] at which the lips just meet, found by halving between a shut and an open jaw."""
    take = shot.tracked_take()
    shut, apart = np.radians(-6.0), np.radians(20.0)
    for _ in range(20):
        middle = (shut + apart) / 2
        jaw = take.jaw.copy()
        jaw[shot.index(frame), 0] = middle
        if lip_height(Take("closing", take.expression, jaw), shot, frame) > 0:
            apart = middle
        else:
            shut = middle
    return float(apart)


def test_opening_the_jaw_opens_the_lips_on_the_plates(filmed: Rendered, opened: Rendered, shot: Shot) -> None:
    on_plates = [gap_on_plate(opened, shot, f) - gap_on_plate(filmed, shot, f) for f in MEASURED]
    of_head = [gap_of_head(opened.take, shot, f) - gap_of_head(filmed.take, shot, f) for f in MEASURED]
    print("rise on plates", np.round(on_plates, 3), "of the head", np.round(of_head, 3))
    assert min(of_head) > 0.03  # the edit itself is an edit
    assert all(plate >= 0.5 * head for plate, head in zip(on_plates, of_head, strict=True))


def test_closing_the_jaw_closes_the_lips_on_the_plates(closed: Rendered, shot: Shot) -> None:
    gaps = [gap_on_plate(closed, shot, f) for f in MEASURED]
    print(
        "gap on plates",
        np.round(gaps, 4),
        "of the head",
        [round(gap_of_head(closed.take, shot, f), 4) for f in MEASURED],
    )
    assert max(gaps) < CLOSED_GAP


@pytest.mark.parametrize("edit", ["opened", "closed"])
def test_frames_whose_window_the_edit_does_not_touch_keep_their_bits(edit, filmed, shot, request) -> None:
    edited: Rendered = request.getfixturevalue(edit)
    touched = range(EDITED[0] - WINDOW_REACH, EDITED[-1] + WINDOW_REACH + 1)
    untouched = [frame for frame in RENDERED if frame not in touched]
    assert len(untouched) == len(RENDERED) - len(EDITED) - 2 * WINDOW_REACH
    assert all(plate_hash(filmed, shot, f) == plate_hash(edited, shot, f) for f in untouched)
    assert all(plate_hash(filmed, shot, f) != plate_hash(edited, shot, f) for f in MEASURED)


@pytest.mark.parametrize("edit", ["filmed", "opened", "closed"])
def test_outside_the_matte_every_plate_holds_the_source_s_bits(edit, shot, request) -> None:
    rendered: Rendered = request.getfixturevalue(edit)
    with ShotPlates(shot) as source:
        for frame in RENDERED:
            exr = read_plate(rendered, shot, frame)
            outside = exr.part("dp_elem").channels["dp_elem.A"] == 0
            assert 0.5 < outside.mean() < 1.0
            for index, name in enumerate("RGB"):
                plate = exr.part("rgba").channels[name]
                assert np.array_equal(
                    plate[outside].view(np.uint16), source.plate(frame).rgb[..., index][outside].view(np.uint16)
                )


def test_another_sound_under_the_same_take_does_not_move_the_lips(filmed, shot, actor, head, tmp_path) -> None:
    count = int(shot.info.frame_count / shot.info.rate.fps * RATE)
    noise = np.random.default_rng(0).normal(0, 0.3, count).astype(np.float32)
    write_wav(tmp_path / "noise.wav", noise * np.sign(np.sin(np.arange(count) / 2000)), RATE)
    take = Take("filmed", filmed.take.expression, filmed.take.jaw, None, {"audio": str(tmp_path / "noise.wav")})
    render_shot(shot=shot, take=take, actor_path=actor, head=head, frames=MEASURED, out=tmp_path / "noise")
    other = Rendered(take, tmp_path / "noise")
    moved = [abs(gap_on_plate(other, shot, f) - gap_on_plate(filmed, shot, f)) for f in MEASURED]
    changed = [plate_hash(other, shot, f) != plate_hash(filmed, shot, f) for f in MEASURED]
    print("moved by sound", np.round(moved, 4))
    assert all(changed)  # the sound was heard
    assert max(moved) < MOST_MOVED_BY_SOUND
