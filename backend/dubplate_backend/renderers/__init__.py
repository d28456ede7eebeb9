# SPDX-License-Identifier: Apache-2.0
"""Renderers: a take's curves and the filmed plates in, redrawn face crops out."""
