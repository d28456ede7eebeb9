# SPDX-License-Identifier: Apache-2.0
"""From the drawn crop to the finished plate: warps, mattes, background test, colour match, composite."""
