# SPDX-License-Identifier: Apache-2.0
"""The stand-in head: a Gaussian-process morphable model over a measured mean face, made by code in seconds."""
