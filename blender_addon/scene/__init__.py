# SPDX-License-Identifier: GPL-3.0-or-later
"""A shot in the scene: camera, plate, sound, timeline, and the link to its package."""
