# SPDX-License-Identifier: Apache-2.0
"""The neural texture renderer of "Dubbing for Everyone": texels on the tracked head, drawn by a StyleGAN2-type net."""
