# SPDX-License-Identifier: Apache-2.0
"""Clips of the ICT head speaking: every vertex known, on a head that the tracker does not know."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dubplate_backend.bench.followed_points import TruePoints
from dubplate_backend.bench.ict_head import (
    LEFT_EYE_OUTER,
    LOWER_LIP,
    MEDIAPIPE,
    PARTS,
    RIGHT_EYE_OUTER,
    UPPER_LIP,
    IctHead,
    load_ict,
)
from dubplate_backend.bench.ict_skin import Paint, paint
from dubplate_backend.bench.kept_clips import kept_clip
from dubplate_backend.bench.standin_clip import CAMERA_FILE, NOISE, RATE, VIDEO, drawn_in_order
from dubplate_backend.bench.truth_motion import filmed, lit, moving
from dubplate_backend.plates.movie import write_movie
from dubplate_backend.raster.camera import Z_NEAR, vertices_to_screen
from dubplate_backend.raster.numba_kernel import rasterise_numba
from dubplate_backend.raster.rasterise import MIN_DOUBLE_AREA_PX
from dubplate_backend.raster.shading import linear_to_srgb, vertex_normals
from dubplate_backend.synthetic.backdrop import backdrop
from dubplate_backend.synthetic.light import Set, lamp_irradiance, openness, shadow_map, soft_irradiance
from dubplate_backend.synthetic.performance import Performance
from dubplate_backend.synthetic.photograph import Lighting, Materials, expose
from dubplate_backend.synthetic.utterance import babble
from dubplate_shared.files import load_npz, save_npz, sha256_file
from dubplate_shared.rotations import matrix_from_axis_angle

REST_S = 0.4  # before anything is said and the head turns
REST_FRAMES = range(1, 9)
SPREAD = 0.8  # deviations of the identity from the mean
JAW_DEG_AT_ONE = 26.0  # what jawOpen at 1 amounts to on this model
JAW_STRETCH = 1.25  # as of the stand-in
LOOK_DEG_AT_ONE = 30.0
LIPS_MEET_M = 0.0002  # the inner lips' landmarks keep this much apart where the lips touch
FACE_FROM_TOP = 0.062  # brows' height over the model's zero [m], for framing
SAMPLES = 2
POINTS = "points.npz"


@dataclass(frozen=True)
class IctClip:
    """What to film.   size: px of the square picture.   face_px: of the face's texture."""

    seed: int
    frames: int
    size: int = 640
    face_px: int = 1024


@dataclass(frozen=True)
class KnownPoints:
    """A clip on disk and where its lip points lie.   mediapipe_px: (T, len(MEDIAPIPE), 2), in MEDIAPIPE's order."""

    video: Path
    lips: TruePoints
    mediapipe_px: np.ndarray


def ict_clip(clip: IctClip, model: Path) -> KnownPoints:
    """Film it, or take it from the cache.  Raises InvalidInput where the model is broken."""
    name = f"ict-{clip.seed}-{clip.frames}"
    folder = kept_clip(name, (clip, sha256_file(model)), lambda folder: _film(clip, load_ict(model), folder))
    points = load_npz(folder / POINTS)
    upper = np.arange(len(UPPER_LIP) + len(LOWER_LIP)) < len(UPPER_LIP)
    eyes = points["eyes_px"]
    inter_ocular = np.linalg.norm(eyes[:, 0] - eyes[:, 1], axis=-1)
    return KnownPoints(
        folder / VIDEO, TruePoints(points["lips_px"], upper, inter_ocular, REST_FRAMES), points["mediapipe_px"]
    )


def _film(clip: IctClip, head: IctHead, folder: Path) -> None:
    times = np.arange(clip.frames) / RATE.fps
    spoken = np.maximum(times - REST_S, 0.0)
    performance = moving(babble(max(spoken[-1], 0.5), seed=clip.seed), spoken, seed=clip.seed, from_rest=True)
    person = head.person(seed=clip.seed, spread=SPREAD)
    seen = filmed(person[_framed(person)], performance, clip.size, seed=clip.seed)
    rotation = matrix_from_axis_angle(seen.rotation)  # (T, 3, 3)
    weights = _blend_shapes(head, person, performance, clip.seed, times)
    lights, background = lit(times, seed=clip.seed), backdrop(clip.size, seed=clip.seed)
    look = paint(head, person, seed=clip.seed, face_px=clip.face_px)
    free = _openness(head, person)
    lens = torch.from_numpy(seen.intrinsics).float()

    def vertices(index: int) -> np.ndarray:
        shaped = head.posed(person, {name: float(curve[index]) for name, curve in weights.items()})
        return shaped @ rotation[index].T + seen.translation[index]

    def draw(index: int) -> np.ndarray:
        grain = np.random.default_rng((clip.seed, 0x64A14, index))
        linear = _picture(head, vertices(index), rotation[index], look, free, lights[index], lens, background)
        display = 255 * linear_to_srgb(torch.from_numpy(linear)).numpy()
        return np.clip(np.round(display + grain.normal(0, 255 * NOISE, display.shape)), 0, 255).astype(np.uint8)

    write_movie(folder / VIDEO, drawn_in_order(draw, clip.frames), RATE, quality=CAMERA_FILE)
    chosen = {
        "lips_px": UPPER_LIP + LOWER_LIP,
        "eyes_px": (RIGHT_EYE_OUTER, LEFT_EYE_OUTER),
        "mediapipe_px": tuple(MEDIAPIPE.values()),
    }
    pixels: dict[str, list[np.ndarray]] = {name: [] for name in chosen}
    for index in range(clip.frames):
        camera = vertices(index)
        for name, which in chosen.items():
            points = camera[list(which)]
            pixels[name].append(points[:, :2] / points[:, 2:] * seen.intrinsics[:2] + seen.intrinsics[2:])
    save_npz(folder / POINTS, {name: np.array(values) for name, values in pixels.items()})


def _framed(person: np.ndarray) -> np.ndarray:
    """Indices of the face between brows and chin: what the picture is composed on."""
    first, behind = PARTS["face"]
    face = person[first:behind]
    return first + np.flatnonzero((face[:, 1] < FACE_FROM_TOP) & (face[:, 1] > -0.078) & (face[:, 2] > 0.03))


def _blend_shapes(
    head: IctHead, person: np.ndarray, performance: Performance, seed: int, times: np.ndarray
) -> dict[str, np.ndarray]:
    """name -> (T,): the performance in the model's own shapes.  This person's lips meet when nothing is said, and where
    mouthClose undoes what jawOpen does to them."""
    random = np.random.default_rng((seed, 0xA2C1))
    parted = head.lip_gap(person) - LIPS_MEET_M
    opens, closes = (head.lip_gap(head.expression[name]) for name in ("jawOpen", "mouthClose"))  # m at 1
    jaw = JAW_STRETCH * np.maximum(performance.jaw_deg, 0) / JAW_DEG_AT_ONE
    mouth = {name: np.clip(performance.controls[name], 0, 1) for name in ("lips_close", "pucker", "wide", "funnel")}
    close, wide = mouth["lips_close"], mouth["wide"]
    smile = 0.35 * np.clip(np.sin(2 * np.pi * (random.uniform(0.15, 0.3) * times + random.uniform())), 0, 1)
    smile = smile * np.clip((times - REST_S) / REST_S, 0, 1)
    shut, brows = performance.blink, performance.controls["brow_raise_L"]
    up, left = performance.gaze_deg.T / LOOK_DEG_AT_ONE
    looks_up, looks_down, looks_left, looks_right = (np.clip(v, 0, 1) for v in (up, -up, left, -left))
    sideways = 0.12 * np.sin(2 * np.pi * (0.4 * times + random.uniform())) * (jaw > 0.05)
    single = {
        "jawOpen": jaw - parted / opens,
        "jawLeft": np.clip(sideways, 0, 1),
        "jawRight": np.clip(-sideways, 0, 1),
        "mouthClose": close * jaw * opens / -closes,
        "mouthRollLower": 0.2 * close,
        "mouthRollUpper": 0.15 * close,
        "mouthPucker": 0.9 * mouth["pucker"],
        "mouthFunnel": 0.8 * mouth["funnel"],
        "eyeLookIn_R": looks_left,
        "eyeLookOut_L": looks_left,
        "eyeLookIn_L": looks_right,
        "eyeLookOut_R": looks_right,
    }
    both = {
        "mouthPress": 0.3 * close,
        "mouthStretch": 0.45 * wide,
        "mouthDimple": 0.2 * wide,
        "mouthLowerDown": 0.25 * wide * (1 - close),
        "mouthSmile": smile,
        "browInnerUp": 0.7 * brows,
        "browOuterUp": 0.6 * brows,
        "eyeBlink": shut,
        "eyeLookUp": looks_up,
        "eyeLookDown": looks_down,
    }
    return single | {f"{name}_{side}": curve for name, curve in both.items() for side in "LR"}


def _openness(head: IctHead, person: np.ndarray) -> np.ndarray:
    """(V,) share of the sky that reaches each vertex; inside the mouth with the jaw open, as it is only seen then."""
    shares = []
    for jaw in (0.0, 0.5):
        posed = head.posed(person, {"jawOpen": jaw}).astype(np.float32)
        normals = vertex_normals(torch.from_numpy(posed)[None], torch.from_numpy(head.faces))[0].numpy()
        shares.append(openness(posed, normals, head.faces))
    return np.clip(np.where(_in_mouth(len(person)), np.maximum(shares[1], 0.3), shares[0]), 0.05, 1.0) ** 0.8


def _in_mouth(count: int) -> np.ndarray:
    inside = np.zeros(count, bool)
    for name in ("mouth_socket", "gums_tongue", "teeth"):
        inside[slice(*PARTS[name])] = True
    return inside


def _picture(
    head: IctHead, camera: np.ndarray, rotation: np.ndarray, look: Paint, free: np.ndarray, light: Set,
    lens: torch.Tensor, background: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """(S, S, 3) linear light.   camera: (V, 3) metres."""
    size = len(background) * SAMPLES
    points = torch.from_numpy(camera.astype(np.float32))[None]
    faces = torch.from_numpy(head.faces)
    screen = vertices_to_screen(points, lens[None] * SAMPLES, None, None)
    ids = rasterise_numba(screen, faces, size, size, Z_NEAR, MIN_DOUBLE_AREA_PX)[0].numpy()
    vertices = np.zeros((len(camera), 13), np.float32)
    vertices[:, :3], vertices[:, 3:6] = camera, vertex_normals(points, faces)[0].numpy()
    local = camera @ rotation  # head space but for the shift
    lips = 0.5 * (local[UPPER_LIP[-3], 2] + local[LOWER_LIP[-2], 2])
    vertices[:, 6], vertices[:, 7], vertices[:, 8] = lips - local[:, 2], free, _in_mouth(len(camera))
    lighting = Lighting(
        soft=soft_irradiance(light),
        key=lamp_irradiance(light.key),
        lamps=np.array([np.concatenate([lamp.unit, lamp.colour]) for lamp in (light.key, *light.lamps)]),
        shadow=shadow_map(vertices[:, :3], head.faces, light.key.unit),
    )
    materials = Materials(
        head.faces, len(head.faces), len(head.faces), look.uv, look.texture, np.zeros((2, 2), np.float32)
    )
    pixels = expose(ids, np.full_like(ids, -1), screen[0].numpy(), vertices, materials, lighting, rotation)
    return (pixels[..., :3] + (1 - pixels[..., 3:]) * background).astype(np.float32)
