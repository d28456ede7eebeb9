# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine made and what the artist adds, one above the other in the NLA; neither ever destroys the other."""
