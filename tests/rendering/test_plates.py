# SPDX-License-Identifier: Apache-2.0
"""The plates of a render, read as a compositor's tools read them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import OpenEXR

from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.exr import read_exr
from dubplate_backend.plates.footage import Footage
from dubplate_backend.plates.manifest import FrameStatus, Manifest
from dubplate_backend.plates.source import ShotPlates
from dubplate_backend.plates.verify import verify_plates
from dubplate_backend.rendering import RenderReport
from dubplate_backend.speech.sound import has_sound
from dubplate_shared.files import sha256_file
from dubplate_shared.shot import Shot
from rendering.conftest import FRAMES, NO_FACE_FRAME


def plate_file(report: RenderReport, frame: int) -> Path:
    return report.folder / f"small_dub_v001.{frame}.exr"


def test_every_frame_lies_where_its_name_says_and_is_in_the_manifest(rendered: RenderReport):
    assert rendered.drawn == (1010, 1011, 1013) and rendered.passed_through == (NO_FACE_FRAME,)
    manifest = Manifest.load(rendered.folder)
    assert tuple(manifest.frames) == FRAMES
    for frame, record in manifest.frames.items():
        assert plate_file(rendered, frame).name == record.file
        assert sha256_file(plate_file(rendered, frame)) == record.sha256
    assert manifest.frames[NO_FACE_FRAME].status == FrameStatus.PASSTHROUGH
    assert manifest.facts["consent"] == "not recorded"


def test_something_is_drawn_and_all_else_is_the_source(rendered: RenderReport, shot: Shot):
    with ShotPlates(shot) as plates:
        for frame in FRAMES:
            exr = read_exr(plate_file(rendered, frame))
            comp, source = exr.parts[0].rgb(), plates.plate(frame).rgb
            alpha = exr.part("dp_elem").channels["dp_elem.A"]
            assert comp.dtype == source.dtype == np.float16
            outside = alpha == 0
            assert np.array_equal(comp.view(np.uint16)[outside], source.view(np.uint16)[outside])
            if frame == NO_FACE_FRAME:
                assert outside.all()
            else:
                assert alpha.max() == 1 and 0.03 < (alpha > 0).mean() < 0.4
                assert np.abs(comp.astype(np.float32) - source)[alpha == 1].mean() > 0.02
    assert not verify_plates(rendered.folder, shot).wrong


def test_verify_names_a_plate_whose_surroundings_were_changed(copied: Path, shot: Shot):
    from dubplate_backend.plates.exr import ExrPart, write_exr

    path = copied / "v001" / "small_dub_v001.1011.exr"
    exr = read_exr(path)
    channels = dict(exr.parts[0].channels)
    channels["R"] = channels["R"].copy()
    channels["R"][2, 3] += np.float16(0.01)
    write_exr(path, [ExrPart("rgba", channels), *exr.parts[1:]], exr.windows, exr.attributes)
    manifest = Manifest.load(copied / "v001")
    assert verify_plates(copied / "v001", shot).wrong == {1011: "the file is not the one that was rendered"}
    from dataclasses import replace

    forged = replace(manifest.frames[1011], sha256=sha256_file(path))
    manifest.merged({}, {1011: forged}).save(copied / "v001")
    assert verify_plates(copied / "v001", shot).wrong == {1011: "1 pixels outside the matte are not the source's"}


def test_parts_layers_windows_and_types_are_as_the_contract_has_them(rendered: RenderReport):
    with OpenEXR.File(str(plate_file(rendered, 1010)), separate_channels=True) as file:
        layers = {part.name(): set(part.channels) for part in file.parts}
        windows = {str((part.header["dataWindow"], part.header["displayWindow"])) for part in file.parts}
        kinds = {name: c.pixels.dtype for part in file.parts for name, c in part.channels.items()}
        assert file.parts[0].name() == "rgba"
    assert layers == {
        "rgba": set("RGBA"),
        "dp_elem": {"dp_elem.R", "dp_elem.G", "dp_elem.B", "dp_elem.A"},
        "dp_matte": {"dp_matte.face", "dp_matte.mouth", "dp_matte.teeth", "dp_matte.hold"},
        "dp_uv": {"dp_uv.u", "dp_uv.v"},
        "dp_st": {"dp_st.u", "dp_st.v"},
        "dp_conf": {"dp_conf.c"},
    }
    assert len(windows) == 1
    assert all(kinds[name] == np.float32 for name in ("dp_uv.u", "dp_st.v"))
    assert all(kinds[name] == np.float16 for name in "RGBA")


def test_colour_time_and_provenance_are_in_every_plate(rendered: RenderReport, shot: Shot):
    for frame in FRAMES:
        with OpenEXR.File(str(plate_file(rendered, frame))) as file:
            headers = [dict(part.header) for part in file.parts]
        first = headers[0]
        for header in headers:
            assert OpenEXR.checkColorMetadata(header, first) == OpenEXR.ColorMetadataWarning.OK
            assert header["framesPerSecond"] == Fraction(25)
        assert first["colorInteropID"] == "srgb_rec709_display"
        assert "acesImageContainerFlag" not in first
        assert first["dubplate:frameStatus"] == ("passthrough" if frame == NO_FACE_FRAME else "drawn")
        assert len(first["dubplate:inputHash"]) == len(first["dubplate:modelSha256"]) == 64
        matrix = shot.crop[shot.index(frame)]
        assert np.allclose(np.asarray(first["dubplate:cropMatrix"])[:2], matrix)
        assert first["dubplate:tool"] == "Dubplate" and first["dubplate:take"] == "tracked"


def test_mattes_and_maps_lie_on_the_head(rendered: RenderReport, shot: Shot, head: HeadModel):
    exr = read_exr(plate_file(rendered, 1010))
    index = shot.index(1010)
    face, mouth = (exr.part("dp_matte").channels[f"dp_matte.{name}"] for name in ("face", "mouth"))
    nose, wall = shot.track.projected_px[index, 1], (3, 3)
    assert face[int(nose[1]), int(nose[0])] == 1 and face[wall] == 0
    assert 0 < mouth.sum() < face.sum()
    u, v = (exr.part("dp_uv").channels[f"dp_uv.{name}"] for name in "uv")
    corners = head.faces_uv[head.landmark_faces[1]]  # the nose's tip in the texture, by barycentrics of its landmark
    expected = (head.landmark_barycentrics[1][:, None] * head.uv[corners]).sum(dim=0).numpy()
    at = int(nose[1]), int(nose[0])
    assert abs(u[at] - expected[0]) < 0.02 and abs(v[at] - expected[1]) < 0.02
    s, t = (exr.part("dp_st").channels[f"dp_st.{name}"] for name in "uv")
    place = shot.crop[index] @ (at[1] + 0.5, at[0] + 0.5, 1.0)
    assert abs(s[at] - place[0]) < 1e-5 and abs(1 - t[at] - place[1]) < 1e-5


def test_the_preview_has_every_frame_and_the_voice(rendered: RenderReport):
    with Footage.open(rendered.preview) as movie:
        assert movie.count == len(FRAMES) and (movie.width, movie.height) == (96, 96)
    assert has_sound(rendered.preview)


def test_the_contact_sheet_has_a_row_for_each_frame(rendered: RenderReport):
    sheet = cv2.imread(str(rendered.sheet))
    assert sheet.shape[1] == 4 * 320 and (sheet.shape[0] - 22) // 320 == len(FRAMES)
