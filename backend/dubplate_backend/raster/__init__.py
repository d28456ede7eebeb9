# SPDX-License-Identifier: Apache-2.0
"""Camera, rasteriser and shading: from vertices to pixels."""
