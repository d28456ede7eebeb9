# SPDX-License-Identifier: Apache-2.0
"""Other tools' files, in and out: tracked heads, performances, cameras."""
