# SPDX-License-Identifier: Apache-2.0
"""What this machine has of what Dubplate needs, and how to mend what is missing."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from dubplate_shared import __version__
from dubplate_shared.errors import DubplateError

_FREE_DISK_WARNING_GB = 10.0  # a 1080p shot of 500 frames is about 10 GB of plates (20 MB a frame)


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"  # the main job works without it
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    name: str
    level: Level
    detail: str
    mend: str = ""


def examine(head: str | None = None) -> list[Finding]:
    """Look at everything. `head`: the head model to check, as for --head. Never raises for what it reports."""
    checks: tuple[Callable[[], Finding], ...] = (
        _python,
        _device,
        lambda: _head_model(head),
        _rasteriser,
        _mediapipe_models,
        _blender,
        _disk,
    )
    return [Finding("Dubplate", Level.OK, __version__), *(check() for check in checks)]


def as_json(findings: list[Finding]) -> dict[str, object]:
    """The report for machines."""
    worst = max((finding.level for finding in findings), key=[Level.OK, Level.WARNING, Level.ERROR].index)
    return {"schema": "dubplate.doctor/1", "level": worst, "findings": [asdict(finding) for finding in findings]}


def _python() -> Finding:
    detail = f"{platform.python_version()} at {sys.executable}, {platform.platform()}"
    if sys.version_info[:2] != (3, 11):
        return Finding("Python", Level.ERROR, detail, "Use Python 3.11: scripts/setup makes a .venv with it.")
    return Finding("Python", Level.OK, detail)


def _device() -> Finding:
    import torch

    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        memory_gib = properties.total_memory / 2**30
        return Finding("Device", Level.OK, f"{properties.name}, {memory_gib:.0f} GiB; torch {torch.__version__}")
    detail = f"CPU, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}; torch {torch.__version__}"
    if platform.system() == "Linux" and Path("/proc/driver/nvidia/version").exists():
        mend = "There is an NVIDIA driver but this torch has no CUDA: install torch==2.13.0 with CUDA."
        return Finding("Device", Level.WARNING, detail, mend)
    return Finding("Device", Level.OK, detail)


def _head_model(spec: str | None) -> Finding:
    from dubplate_backend.head.load import load_head

    try:
        head = load_head(spec)
    except DubplateError as error:
        return Finding("Head model", Level.ERROR, error.message, error.hint)
    detail = f"{head.kind}, {len(head.template)} vertices, {len(head.faces)} faces, {head.sha256[:12]}"
    return Finding("Head model", Level.OK, detail)


def _rasteriser() -> Finding:
    from dubplate_backend.raster.rasterise import available_backends

    return Finding("Rasteriser", Level.OK, ", ".join(available_backends()))


def _mediapipe_models() -> Finding:
    mend = "Reinstall it: .venv/bin/pip install --force-reinstall --no-deps mediapipe==0.10.21 (later have no models)."
    spec = importlib.util.find_spec("mediapipe")
    if spec is None or spec.origin is None:
        return Finding("MediaPipe models", Level.ERROR, "mediapipe is not installed", mend)
    modules = Path(spec.origin).parent / "modules"
    wanted = (
        "face_detection/face_detection_full_range_sparse.tflite",
        "face_landmark/face_landmark_with_attention.tflite",
        "selfie_segmentation/selfie_segmentation.tflite",
    )
    missing = [name for name in wanted if not (modules / name).exists()]
    version = importlib.metadata.version("mediapipe")
    if missing:
        return Finding("MediaPipe models", Level.ERROR, f"mediapipe {version} lacks {', '.join(missing)}", mend)
    return Finding("MediaPipe models", Level.OK, f"mediapipe {version}, {len(wanted)} models in the package")


def _blender() -> Finding:
    found = [f"blender at {path}" for path in [shutil.which("blender")] if path]
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        found.append(f"bpy {importlib.metadata.version('bpy')} in this environment")
    if not found:
        mend = "Install Blender 4.2 or later, or: .venv/bin/pip install bpy==4.5.15"
        return Finding("Blender", Level.WARNING, "neither blender nor bpy", mend)
    return Finding("Blender", Level.OK, "; ".join(found))


def _disk() -> Finding:
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    detail = f"{free_gb:.0f} GB free at {Path.cwd()}"
    if free_gb < _FREE_DISK_WARNING_GB:
        mend = "A shot of 500 plates in 1080p takes about 10 GB: free some space."
        return Finding("Disk", Level.WARNING, detail, mend)
    return Finding("Disk", Level.OK, detail)
