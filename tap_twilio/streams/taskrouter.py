"""TaskRouter: taskrouter.twilio.com. Facts: OpenAPI twilio_taskrouter_v1; docs, taskrouter/api."""

from tap_twilio.timestamps import DAY

from .model import AllParents, Filter, FullRead, LogWindow, Parent, Product, Stream

TASKROUTER = Product("taskrouter", "/v1")
# A child may leave the date of its workspace or worker unchanged, so every sync visits every parent.
BY_WORKSPACE = Parent("taskrouter_workspaces", {"workspace_sid": "sid"}, AllParents())
BY_WORKER = Parent("taskrouter_workers", {"workspace_sid": "workspace_sid", "worker_sid": "sid"}, AllParents())
EACH_WORKSPACE, EACH_WORKER = "one request for each workspace", "one request for each worker"
PERIOD_BOUNDS = frozenset({"start_time", "end_time"})  # of statistics: they change with each request
LAST_24_HOURS = {"Minutes": "1440"}  # Twilio's default is 15 minutes

STREAMS = (
    Stream("taskrouter_workspaces", TASKROUTER, "Workspaces", "workspaces"),
    Stream(
        "taskrouter_activities",
        TASKROUTER,
        "Workspaces/{workspace_sid}/Activities",
        "activities",
        parent=BY_WORKSPACE,
        cost=EACH_WORKSPACE,
    ),
    Stream(
        "taskrouter_events",
        TASKROUTER,
        "Workspaces/{workspace_sid}/Events",
        "events",
        read_strategy=LogWindow(lookback=DAY),
        # Without dates, Twilio lists the last 15 minutes.
        filter=Filter("StartDate", "EndDate", "event_date", nullable=False, max_age=30 * DAY),
        parent=BY_WORKSPACE,
        cost=f"{EACH_WORKSPACE}, and for each 1,000 events; Twilio keeps 30 days",
    ),
    Stream(
        "taskrouter_tasks",
        TASKROUTER,
        "Workspaces/{workspace_sid}/Tasks",
        "tasks",
        parent=BY_WORKSPACE,
        deselected_by_default=frozenset({"age"}),  # it is soon wrong, and date_created says the same
        not_compared=frozenset({"age"}),
        cost=f"{EACH_WORKSPACE}; Twilio deletes a task five minutes after its end",
    ),
    Stream(
        "taskrouter_task_channels",
        TASKROUTER,
        "Workspaces/{workspace_sid}/TaskChannels",
        "channels",
        parent=BY_WORKSPACE,
        cost=EACH_WORKSPACE,
    ),
    Stream(
        "taskrouter_task_queues",
        TASKROUTER,
        "Workspaces/{workspace_sid}/TaskQueues",
        "task_queues",
        parent=BY_WORKSPACE,
        cost=EACH_WORKSPACE,
    ),
    Stream(
        "taskrouter_task_queue_statistics",
        TASKROUTER,
        "Workspaces/{workspace_sid}/TaskQueues/Statistics",
        "task_queues_statistics",
        key=("task_queue_sid",),
        read_strategy=FullRead(),
        query=LAST_24_HOURS,
        parent=BY_WORKSPACE,
        has_item_endpoint=False,
        tokens_name_rows=False,  # rows have no sid that a page token could name
        not_compared=frozenset(
            {
                *(f"cumulative.{name}" for name in PERIOD_BOUNDS),
                # The waiting time, in seconds, of the task longest_task_waiting_sid.
                "realtime.longest_task_waiting_age",
                "realtime.longest_relative_task_age_in_queue",
            }
        ),
        cost=EACH_WORKSPACE,
    ),
    Stream(
        "taskrouter_workers",
        TASKROUTER,
        "Workspaces/{workspace_sid}/Workers",
        "workers",
        parent=BY_WORKSPACE,
        cost=EACH_WORKSPACE,
    ),
    Stream(
        "taskrouter_worker_channels",
        TASKROUTER,
        "Workspaces/{workspace_sid}/Workers/{worker_sid}/Channels",
        "channels",
        parent=BY_WORKER,
        cost=EACH_WORKER,
    ),
    Stream(
        "taskrouter_worker_reservations",
        TASKROUTER,
        "Workspaces/{workspace_sid}/Workers/{worker_sid}/Reservations",
        "reservations",
        parent=BY_WORKER,
        cost=EACH_WORKER,
    ),
    Stream(
        "taskrouter_workflows",
        TASKROUTER,
        "Workspaces/{workspace_sid}/Workflows",
        "workflows",
        parent=BY_WORKSPACE,
        cost=EACH_WORKSPACE,
    ),
    Stream(
        "taskrouter_workspace_statistics",
        TASKROUTER,
        "Workspaces/{workspace_sid}/CumulativeStatistics",
        rows=None,
        key=("workspace_sid",),
        read_strategy=FullRead(),
        query=LAST_24_HOURS,
        parent=BY_WORKSPACE,
        has_item_endpoint=False,
        not_compared=PERIOD_BOUNDS,
        cost=EACH_WORKSPACE,
    ),
    Stream(
        "taskrouter_worker_statistics",
        TASKROUTER,
        "Workspaces/{workspace_sid}/Workers/CumulativeStatistics",
        rows=None,
        key=("workspace_sid",),  # a row has the sums of all workers of a workspace
        read_strategy=FullRead(),
        query=LAST_24_HOURS,
        parent=BY_WORKSPACE,
        has_item_endpoint=False,
        not_compared=PERIOD_BOUNDS,
        cost=EACH_WORKSPACE,
    ),
    Stream(
        "taskrouter_workflow_statistics",
        TASKROUTER,
        "Workspaces/{workspace_sid}/Workflows/{workflow_sid}/CumulativeStatistics",
        rows=None,
        key=("workflow_sid",),
        read_strategy=FullRead(),
        query=LAST_24_HOURS,
        parent=Parent("taskrouter_workflows", {"workspace_sid": "workspace_sid", "workflow_sid": "sid"}, AllParents()),
        has_item_endpoint=False,
        not_compared=PERIOD_BOUNDS,
        cost="one request for each workflow",
    ),
)
