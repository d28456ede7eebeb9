# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said when: labels of other programs' files as markers, and the closures that they ask for."""
