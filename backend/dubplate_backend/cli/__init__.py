# SPDX-License-Identifier: Apache-2.0
"""The `dubplate` command, one module a subcommand."""
