# SPDX-License-Identifier: Apache-2.0
"""The contract between Blender, the backend and the files on disk: numpy, msgpack and the standard library only."""

__version__ = "0.1.0"
