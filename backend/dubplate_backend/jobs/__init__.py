# SPDX-License-Identifier: Apache-2.0
"""Jobs that outlive the process: their journal, whose turn it is, and the worker that does them."""
