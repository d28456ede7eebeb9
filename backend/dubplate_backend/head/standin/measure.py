# SPDX-License-Identifier: Apache-2.0
"""Measures the mean face that the stand-in is built on: `python -m dubplate_backend.head.standin.measure CLIP...`

From each clip: the full-range detector finds the face, FaceMesh gives its 468 points, and of the frames with the mouth
closed and the eyes open every face is turned, moved and scaled onto the others (generalised Procrustes analysis, Gower
1975) and averaged. The people are then averaged with equal weight, made left-right symmetric, and scaled so that the
outer eye corners are `BIOCULAR_MM` apart. FaceMesh's depth is weak-perspective and in the units of x.
Writes `mean_face.csv` (468 rows: x y z in millimetres, x to the subject's left, y up, z out of the face).
"""

import sys
from pathlib import Path

import numpy as np

from dubplate_backend.head.standin.topology import face_triangles, mirror_pairs

BIOCULAR_MM = 89.0
"""Mean breadth between the outer eye corners (ex-ex) of adults, men about 91 mm and women about 88 mm.
Source: Farkas 1994, Anthropometry of the Head and Face."""
CLOSED_LIP_GAP = 0.02
"""Lip gap over biocular breadth below which a mouth counts as closed: FaceMesh repeats to about 0.004."""
MAX_YAW_RAD = np.radians(20)
CROP_PX = 512
EVERY = 2
RIGHT_EYE_OUTER, LEFT_EYE_OUTER, FOREHEAD, CHIN = 33, 263, 10, 152
UPPER_LIP, LOWER_LIP = 13, 14
LID_PAIRS = ((159, 145), (386, 374))
POINTS = 468


def face_points(clip: Path) -> np.ndarray:
    """All faces that FaceMesh finds in a clip: [N, 468, 3] in pixels, x right, y down, z into the picture."""
    import av
    import cv2
    from mediapipe.python.solutions.face_detection import FaceDetection
    from mediapipe.python.solutions.face_mesh import FaceMesh

    faces = []
    with (
        av.open(str(clip)) as container,
        FaceMesh(refine_landmarks=True) as mesh,
        FaceDetection(model_selection=1) as detector,
    ):
        for index, frame in enumerate(container.decode(video=0)):
            if index % EVERY:
                continue
            picture = frame.to_ndarray(format="rgb24")
            height, width = picture.shape[:2]
            found = detector.process(picture).detections
            if not found:
                continue
            box = found[0].location_data.relative_bounding_box
            side = 1.8 * max(box.width * width, box.height * height)
            scale = CROP_PX / side
            centre = np.array([(box.xmin + box.width / 2) * width, (box.ymin + box.height / 2) * height])
            shift = CROP_PX / 2 - scale * centre
            matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
            crop = cv2.warpAffine(picture, matrix, (CROP_PX, CROP_PX), borderMode=cv2.BORDER_REPLICATE)
            result = mesh.process(crop).multi_face_landmarks
            if result:
                faces.append([(p.x, p.y, p.z) for p in result[0].landmark[:POINTS]])
    return np.array(faces).reshape(-1, POINTS, 3) * CROP_PX


def neutral(faces: np.ndarray) -> np.ndarray:
    """The frames with a closed mouth, open eyes and little yaw.   faces: [N, 468, 3] -> [M, 468, 3]."""

    def distance(a: int, b: int) -> np.ndarray:
        return np.linalg.norm(faces[:, a] - faces[:, b], axis=-1)

    biocular = distance(RIGHT_EYE_OUTER, LEFT_EYE_OUTER)
    lids = sum(distance(a, b) for a, b in LID_PAIRS) / biocular
    across = faces[:, LEFT_EYE_OUTER] - faces[:, RIGHT_EYE_OUTER]
    yaw = np.arctan2(across[:, 2], across[:, 0])
    closed = distance(UPPER_LIP, LOWER_LIP) / biocular < CLOSED_LIP_GAP
    return faces[closed & (lids > np.median(lids)) & (np.abs(yaw) < MAX_YAW_RAD)]


def normalised(face: np.ndarray) -> np.ndarray:
    """Centred and of unit root-mean-square size.   face: [..., 468, 3]."""
    centred = face - face.mean(-2, keepdims=True)
    return centred / np.sqrt((centred**2).sum(-1).mean(-1))[..., None, None]


def aligned(face: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Turned onto `to` by the rotation of least squares (Kabsch).   Both [468, 3], normalised."""
    u, _, vt = np.linalg.svd(face.T @ to)
    u[:, -1] *= np.sign(np.linalg.det(u @ vt))
    return face @ (u @ vt)


def procrustes_mean(faces: np.ndarray, rounds: int = 5) -> np.ndarray:
    """Mean shape of faces, free of position, rotation and size.   faces: [N, 468, 3] -> [468, 3]."""
    faces = normalised(faces)
    mean = faces[0]
    for _ in range(rounds):
        mean = normalised(np.stack([aligned(face, mean) for face in faces]).mean(0))
    return mean


def mean_face(people: list[np.ndarray]) -> np.ndarray:
    """Symmetric mean of several people in millimetres, upright.   people: [N_i, 468, 3] each -> [468, 3]."""
    flip = np.array([1, -1, -1])  # pixels down and into the picture become y up and z out of the face
    means = np.stack([procrustes_mean(neutral(faces) * flip) for faces in people])
    mean = procrustes_mean(means)
    pairs = mirror_pairs(face_triangles())
    mean = procrustes_mean(np.stack([mean, mean[pairs] * [-1, 1, 1]]))
    across = normalised(mean)[LEFT_EYE_OUTER] - mean[RIGHT_EYE_OUTER]
    across /= np.linalg.norm(across)
    up = mean[FOREHEAD] - mean[CHIN]
    up -= across * (up @ across)
    up /= np.linalg.norm(up)
    mean = mean @ np.stack([across, up, np.cross(across, up)], 1)
    mean = (mean + mean[pairs] * [-1, 1, 1]) / 2
    return mean * BIOCULAR_MM / np.linalg.norm(mean[LEFT_EYE_OUTER] - mean[RIGHT_EYE_OUTER])


def main(clips: list[str]) -> None:
    """Measure the clips' people and write the table beside this file."""
    table = mean_face([face_points(Path(clip)) for clip in clips])
    np.savetxt(Path(__file__).with_name("mean_face.csv"), table, fmt="%.2f", delimiter=",")


if __name__ == "__main__":
    main(sys.argv[1:])
