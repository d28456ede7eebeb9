# SPDX-License-Identifier: Apache-2.0
"""A take over a shot, drawn by an actor and composited onto its plates: what the CLI, the server and the demo call."""

from dubplate_backend.rendering.plan import RenderPlan, plan_shot
from dubplate_backend.rendering.render import render_shot
from dubplate_backend.rendering.report import RenderReport
from dubplate_backend.rendering.settings import RenderSettings

__all__ = ["RenderPlan", "RenderReport", "RenderSettings", "plan_shot", "render_shot"]
