# SPDX-License-Identifier: Apache-2.0
"""The backend: head models, tracking, rendering, compositing, plates, the server and the command line."""
