# SPDX-License-Identifier: GPL-3.0-or-later
"""The current frame as the backend draws it, while the artist edits: asked for, kept, compared, shown."""
