# SPDX-License-Identifier: GPL-3.0-or-later
"""The head as armature, mesh and drivers, together exactly the head model."""
