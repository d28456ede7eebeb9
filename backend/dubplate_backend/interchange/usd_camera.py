# SPDX-License-Identifier: Apache-2.0
"""USD's cameras, read by Blender in a process of its own: the backend needs neither Blender nor USD's libraries."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from dubplate_backend.interchange.film_camera import FilmCamera
from dubplate_shared.errors import InvalidInput

PATIENCE_S = 300.0
_Y_UP_FROM_Z_UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
# Blender scales the scene to metres and turns it to z up.  A frame's number is its time code.
_SCRIPT = """
import json, sys
import bpy
source, target, frames, metres = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4])
bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
kinds = ("meshes", "lights", "materials", "volumes", "curves", "points", "shapes", "blendshapes", "skeletons")
known = bpy.ops.wm.usd_import.get_rna_type().properties.keys()
options = {"import_" + kind: False for kind in kinds if "import_" + kind in known}
if "apply_unit_conversion_scale" in known:
    options["apply_unit_conversion_scale"] = metres
bpy.ops.wm.usd_import(filepath=source, set_frame_range=True, **options)
scene = bpy.context.scene
found = []
for item in bpy.data.objects:
    if item.type != "CAMERA":
        continue
    names, moves, above = [], bool(item.data.animation_data), item
    while above is not None:
        names.append(above.name)
        moves = moves or bool(above.animation_data or above.constraints)
        above = above.parent
    samples = []
    for frame in frames:
        scene.frame_set(frame)
        seen = item.evaluated_get(bpy.context.evaluated_depsgraph_get())
        lens = seen.data
        if lens.type != "PERSP":
            samples = None
            break
        samples.append([[list(row) for row in seen.matrix_world], lens.lens, lens.sensor_width, lens.sensor_height,
                        lens.shift_x, lens.shift_y, lens.sensor_fit])
    found.append({"path": "/" + "/".join(reversed(names)), "moves": moves, "samples": samples})
with open(target, "w") as file:
    json.dump({"cameras": found, "range": [scene.frame_start, scene.frame_end]}, file)
"""


def read_usd(path: Path, frames: np.ndarray, *, camera: str | None, in_metres: bool) -> FilmCamera:
    """The camera at frame numbers, which are USD's time codes; its world with y up.

    frames: (T,).   camera: its path or the end of it, where the file has several.   in_metres: whether lengths are
    made metres by what the file says of its units.
    Raises InvalidInput where Blender is not there, the file cannot be read, the choice is open, or frames are missing.
    """
    content = _by_blender(path, frames, in_metres)
    cameras = {item["path"]: item for item in content["cameras"]}
    if not cameras:
        raise InvalidInput(f"{path.name} holds no camera.", hint="Export the camera of the shot.")
    wanted = None if camera is None else camera.strip("/")
    fitting = [name for name in cameras if wanted is None or f"{name}/".endswith(f"/{wanted}/")]
    if len(fitting) != 1:
        what = f"no camera {camera}" if not fitting else f"{len(fitting)} cameras"
        raise InvalidInput(f"{path.name} holds {what}. It has: {', '.join(cameras)}.", hint="Choose one by its path.")
    chosen = cameras[fitting[0]]
    samples = chosen["samples"]
    if samples is None:
        raise InvalidInput(f"{fitting[0]} of {path.name} is no perspective camera.", hint="Export the shot's camera.")
    first, last = content["range"]
    outside = [int(frame) for frame in frames if not first <= frame <= last]
    if outside and chosen["moves"]:
        raise InvalidInput(
            f"{path.name} has no frame {outside[0]} (it has {first}-{last}).",
            hint="Export the camera over the shot's frame numbers, or give the shot the plate's first frame.",
        )
    matrix = _Y_UP_FROM_Z_UP @ np.array([sample[0] for sample in samples])  # [T, 4, 4]
    focal, width, height, shift_x, shift_y = np.array([sample[1:6] for sample in samples]).T  # [T] each
    # Blender counts its shift in the side that it fits.
    fitted = np.array([height[i] if sample[6] == "VERTICAL" else width[i] for i, sample in enumerate(samples)])
    shift = np.stack([shift_x, shift_y], axis=1) * (fitted / width)[:, None]
    return FilmCamera(matrix, focal, width, shift, unit_m=1.0)


def _by_blender(path: Path, frames: np.ndarray, in_metres: bool) -> dict:
    if importlib.util.find_spec("bpy") is None:
        raise InvalidInput(
            f"{path.name} is read by Blender, and this Python has no bpy.",
            hint='Install it: pip install "dubplate[blender]"; or export the camera as Alembic or .chan.',
        )
    with tempfile.TemporaryDirectory(prefix="dubplate_usd_") as folder:
        target = Path(folder) / "camera.json"
        numbers = json.dumps([int(frame) for frame in frames])
        command = [sys.executable, "-c", _SCRIPT, str(path.resolve()), str(target), numbers, json.dumps(in_metres)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise InvalidInput(
                f"Blender did not read {path.name} in {PATIENCE_S:.0f} s.", hint="Export the camera alone."
            ) from error
        if not target.exists():
            last = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
            raise InvalidInput(f"Blender cannot read {path.name}: {last}.", hint="Export the camera again.")
        return json.loads(target.read_text())
