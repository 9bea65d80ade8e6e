"""Programmable Wireless: wireless.twilio.com. Facts: OpenAPI twilio_wireless_v1; docs, iot/wireless/api."""

from tap_twilio.timestamps import DAY

from .model import Condition, Filter, LogWindow, OpenParents, Parent, Product, Rescan, Stream

WIRELESS = Product("wireless", "/v1")
SOLD_TO_KORE = "Twilio sold it to KORE in 2024"
EACH_SIM = Parent(
    "wireless_sims",
    {"sim_sid": "sid"},
    OpenParents(open_if=Condition("status", one_of=("ready", "active", "scheduled", "updating"))),
)
SIM_COST = f"one request for each SIM that is ready or active, and for each that changed; {SOLD_TO_KORE}"
# By default, Twilio returns one sum of all days. A sum is complete within two days, and kept for 18 months (docs,
# UsageRecord resources). A date within a day could return a smaller sum.
BY_DAY = {"Granularity": "daily"}
LAST_WEEK = LogWindow(lookback=7 * DAY)
PERIOD_FILTER = Filter("Start", "End", "period_start", unit=DAY, midnights=True, nullable=False, max_age=540 * DAY)
PERIOD_COLUMNS = {"period_start": "period.start", "period_end": "period.end"}

STREAMS = (
    Stream("wireless_sims", WIRELESS, "Sims", "sims", cost=SOLD_TO_KORE),
    Stream(
        "wireless_data_sessions",
        WIRELESS,
        "Sims/{sim_sid}/DataSessions",
        "data_sessions",
        read_strategy=Rescan(replication_key="last_updated"),
        parent=EACH_SIM,
        has_item_endpoint=False,
        cost=SIM_COST,
    ),
    Stream(
        "wireless_sim_usage_records",
        WIRELESS,
        "Sims/{sim_sid}/UsageRecords",
        "usage_records",
        key=("sim_sid", "period_start"),
        read_strategy=LAST_WEEK,
        filter=PERIOD_FILTER,
        query=BY_DAY,
        parent=EACH_SIM,
        derived=PERIOD_COLUMNS,
        has_item_endpoint=False,
        tokens_name_rows=False,
        cost=SIM_COST,
    ),
    Stream(
        "wireless_usage_records",
        WIRELESS,
        "UsageRecords",
        "usage_records",
        key=("account_sid", "period_start"),
        read_strategy=LAST_WEEK,
        filter=PERIOD_FILTER,
        query=BY_DAY,
        derived=PERIOD_COLUMNS,
        has_item_endpoint=False,
        tokens_name_rows=False,
        cost=SOLD_TO_KORE,
    ),
    Stream("wireless_commands", WIRELESS, "Commands", "commands", cost=SOLD_TO_KORE),
    Stream("wireless_rate_plans", WIRELESS, "RatePlans", "rate_plans", cost=SOLD_TO_KORE),
)
