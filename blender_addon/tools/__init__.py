# SPDX-License-Identifier: GPL-3.0-or-later
"""Tools on the curves of a performance, its markers, and what the lips do."""
