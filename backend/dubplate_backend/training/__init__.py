# SPDX-License-Identifier: Apache-2.0
"""Training: from tracked footage of a person to an actor."""
