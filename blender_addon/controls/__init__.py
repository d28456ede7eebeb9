# SPDX-License-Identifier: GPL-3.0-or-later
"""Directing the face: sliders and handles of the semantic controls, and points on the lips that are dragged."""
