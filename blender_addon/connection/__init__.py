# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversation with a backend: no bpy and no threads in here."""
