# SPDX-License-Identifier: Apache-2.0
"""The actor's promise: what is kept of a person is listed, and goes when it is asked to go."""
