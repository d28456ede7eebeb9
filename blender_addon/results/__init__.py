# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendered plates brought back into the scene: in the sequencer, in the compositor, behind the camera's picture."""
