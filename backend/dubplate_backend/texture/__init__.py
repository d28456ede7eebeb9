# SPDX-License-Identifier: Apache-2.0
"""Textures on the head's surface: the actor's learnt one, and where its islands lie."""
