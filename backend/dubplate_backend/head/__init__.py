# SPDX-License-Identifier: Apache-2.0
"""Head models: arrays with FLAME's layout, skinning, the stand-in that our own code makes, the user's FLAME files."""
