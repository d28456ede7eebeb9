# SPDX-License-Identifier: Apache-2.0
"""The backend that Blender talks to: sockets, requests, jobs and assets.  The contract is PROTOCOL.md."""
