# SPDX-License-Identifier: GPL-3.0-or-later
"""The track repaired from within Blender: pins placed on the plate, the stretch solved again, the base read anew."""
