# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: named figures with units, each beside a peer or a limit measured in the same run."""
