# SPDX-License-Identifier: Apache-2.0
"""How good an actor is, measured on filmed frames that it never saw, and asked of people."""
