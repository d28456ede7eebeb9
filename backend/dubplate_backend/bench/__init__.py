# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: named figures with units, each beside a peer or a limit measured in the same run.

`rasteriser`, `skinning`, `adapt`, `render` and `tracking` are the benchmarks; `__main__` runs them.  What the tracker
is held to is filmed by `standin_clip` and `ict_clip`, and measured by `tracking_scores` (against truth),
`followed_points` (across head models) and `lip_warp` (on real footage).
"""
