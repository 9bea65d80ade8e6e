"""
A target for Snowflake whose connections go to fakesnow's server: run by the target's own Python, with its arguments.

The port is in FAKESNOW_PORT. Its statements are its own; `fakesnow_server.py` rewrites what fakesnow does not know.
"""

from __future__ import annotations

import os
from typing import Any

import snowflake.connector


def main() -> None:
    """Start the target."""
    connect = snowflake.connector.connect

    def to_fakesnow(*arguments: Any, **options: Any) -> Any:
        options.update(host="localhost", port=int(os.environ["FAKESNOW_PORT"]), protocol="http")
        parameters = options.get("session_parameters") or {}
        options["session_parameters"] = {**parameters, "CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False}
        return connect(*arguments, **options)

    snowflake.connector.connect = snowflake.connector.Connect = to_fakesnow
    try:
        from target_snowflake.target import TargetSnowflake
    except ImportError:
        from target_snowflake import main as started  # PipelineWise's
    else:
        started = TargetSnowflake.cli
    started()


if __name__ == "__main__":
    main()
