# SPDX-License-Identifier: Apache-2.0
"""A synthetic actor on the stand-in head: skin, light, a speech-like performance and the voice that belongs to it."""
