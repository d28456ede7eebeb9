# SPDX-License-Identifier: GPL-3.0-or-later
"""A performance as animation curves; animation.py is the one module that touches Actions."""
