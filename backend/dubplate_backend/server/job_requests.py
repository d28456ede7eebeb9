# SPDX-License-Identifier: Apache-2.0
"""What clients ask about jobs, by request; each asks for itself."""

from __future__ import annotations

from dubplate_backend.jobs.jobs import Jobs
from dubplate_backend.server.answering import Caller, Handler
from dubplate_shared.messages import (
    JobCancel,
    JobInfos,
    JobList,
    JobPause,
    JobPrioritise,
    JobResume,
    JobRetry,
    JobShow,
    JobSubmit,
    Message,
)


def on_rpc(jobs: Jobs) -> dict[type[Message], Handler]:
    """What may wait for the disk."""
    return {
        JobSubmit: lambda request, caller: jobs.submit(request, user=caller.user, client=client_of(caller)),
        JobShow: lambda request, _: jobs.show(request.job),
        JobList: lambda _request, _: JobInfos(jobs.list()),
        JobResume: lambda request, caller: jobs.resume(request.job, user=caller.user),
        JobRetry: lambda request, caller: jobs.retry(request.job, user=caller.user),
        JobPrioritise: lambda request, caller: jobs.prioritise(request.job, request.priority, user=caller.user),
    }


def on_control(jobs: Jobs) -> dict[type[Message], Handler]:
    """What must be answered while others work."""
    return {
        JobCancel: lambda request, caller: jobs.cancel(request.job, user=caller.user),
        JobPause: lambda request, caller: jobs.pause(request.job, user=caller.user),
    }


def client_of(caller: Caller) -> str:
    """Who takes turns: a user's connections each for itself."""
    return f"{caller.user}/{caller.route.hex()}"
