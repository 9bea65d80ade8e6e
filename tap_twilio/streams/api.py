"""Core API: api.twilio.com, version 2010-04-01. Facts: OpenAPI twilio_api_v2010, operations List*."""

from tap_twilio.timestamps import DAY

from .insights import CALL_SCORE_LIST, ENDED_CALL
from .model import AllParents, Condition, Filter, FullRead, LogWindow, Parent, Product, RecentParents, Stream

API = Product("api", "/2010-04-01/Accounts/{account_sid}", suffix=".json", own_credentials=False)
ACCOUNTS = Product("api", "/2010-04-01", suffix=".json", own_credentials=False)
# Twilio's default is true, which would count subaccounts twice (OpenAPI, ListUsageRecordDaily).
OWN_USAGE = {"IncludeSubaccounts": "false"}
AS_OF = frozenset({"as_of"})  # the time of the request, also for past days (recorded)
# "On or after", "on or before this date" (OpenAPI, ListUsageRecordDaily).
USAGE_DAYS = Filter("StartDate", "EndDate", "start_date", unit=DAY, inclusive=True, nullable=False)


def _numbers_for_sale(type_: str, path: str) -> Stream:
    """Declare numbers for sale: 30 for each country, and no next page (twilio-node #316; OpenAPI, examples)."""
    return Stream(
        f"available_phone_numbers_{type_}",
        API,
        f"AvailablePhoneNumbers/{{country_code}}/{path}",
        "available_phone_numbers",
        key=("account_sid", "country_code", "phone_number"),
        read_strategy=FullRead(),
        parent=Parent(
            "available_phone_number_countries",
            {"country_code": "country_code"},
            AllParents(),
            where=Condition("subresource_uris", has_member=type_),
        ),
        derived={"account_sid": "account_sid", "country_code": "country_code"},
        has_next_page=False,
        has_item_endpoint=False,
        tokens_name_rows=False,
        cost="one request for each country that has such numbers; each answer is a sample of 30",
    )


STREAMS = (
    Stream("addresses", API, "Addresses", "addresses", selected_by_default=True),
    Stream(
        "calls",
        API,
        "Calls",
        "calls",
        filter=Filter("StartTime>", "StartTime<", "start_time"),
        selected_by_default=True,
    ),
    Stream(
        "conferences",
        API,
        "Conferences",
        "conferences",
        filter=Filter("DateCreated>", "DateCreated<", "date_created", unit=DAY, nullable=False),
        # Without Status, Twilio lists only conferences in progress (changelog, conference-list-endpoint).
        query_variants={"Status": ("init", "in-progress", "completed")},
        selected_by_default=True,
    ),
    Stream("transcriptions", API, "Transcriptions", "transcriptions", selected_by_default=True),
    Stream(
        "messages",
        API,
        "Messages",
        "messages",
        # Twilio refuses dates more than 400 days ago with code 20004 (docs, Message resource).
        filter=Filter("DateSent>", "DateSent<", "date_sent", max_age=400 * DAY),
        selected_by_default=True,
    ),
    Stream(
        "call_feedback",
        API,
        "Calls/{call_sid}/Feedback",
        None,  # a single resource, no longer in OpenAPI since 2023 (docs, Call Feedback resource)
        parent=Parent("calls", {"call_sid": "sid"}, RecentParents(), where=ENDED_CALL),
        derived={"sid": "call_sid"},
        score_list=CALL_SCORE_LIST,
        selected_by_default=True,
        cost="one request for each call that ended, within feedback_requests",
    ),
    Stream(
        "accounts",
        ACCOUNTS,
        "Accounts",
        "accounts",
        hidden=frozenset({"auth_token"}),
        scope="main",
        tokens_name_rows=False,  # page tokens hold a filter and a position (OpenAPI, examples of ListAccount)
    ),
    Stream(
        "account_balance", API, "Balance", None, key=("account_sid",), read_strategy=FullRead(), has_item_endpoint=False
    ),
    Stream("incoming_phone_numbers", API, "IncomingPhoneNumbers", "incoming_phone_numbers"),
    Stream("outgoing_caller_ids", API, "OutgoingCallerIds", "outgoing_caller_ids"),
    Stream(
        "recordings",
        API,
        "Recordings",
        "recordings",
        filter=Filter("DateCreated>", "DateCreated<", "date_created", nullable=False),
        # By default, Twilio does not list deleted recordings (changelog, 2022-03-03).
        query={"IncludeSoftDeleted": "true"},
    ),
    Stream(
        "usage_records",
        API,
        "Usage/Records/Daily",
        "usage_records",
        key=("account_sid", "category", "start_date", "end_date"),
        # The sums of a day change while Twilio prices calls. No document says for how long.
        read_strategy=LogWindow(lookback=7 * DAY),
        filter=USAGE_DAYS,
        query=OWN_USAGE,
        not_compared=AS_OF,
        has_item_endpoint=False,
        tokens_name_rows=False,
    ),
    Stream(
        "usage_records_monthly",
        API,
        "Usage/Records/Monthly",
        "usage_records",
        key=("account_sid", "category", "start_date"),  # end_date may change during a month
        read_strategy=LogWindow(lookback=62 * DAY, period="month"),  # the current month and the two months before
        filter=USAGE_DAYS,
        query=OWN_USAGE,
        not_compared=AS_OF,
        has_item_endpoint=False,
        tokens_name_rows=False,
    ),
    Stream(
        "usage_records_yearly",
        API,
        "Usage/Records/Yearly",
        "usage_records",
        key=("account_sid", "category", "start_date"),
        read_strategy=LogWindow(lookback=62 * DAY, period="year"),  # until early March, also the year before
        filter=USAGE_DAYS,
        query=OWN_USAGE,
        not_compared=AS_OF,
        has_item_endpoint=False,
        tokens_name_rows=False,
    ),
    Stream(
        "usage_records_all_time",
        API,
        "Usage/Records/AllTime",
        "usage_records",
        key=("account_sid", "category"),
        read_strategy=FullRead(),
        query=OWN_USAGE,
        not_compared=AS_OF | {"end_date"},  # the day of the request
        has_item_endpoint=False,
        tokens_name_rows=False,
    ),
    Stream("usage_triggers", API, "Usage/Triggers", "usage_triggers"),
    Stream(
        "available_phone_number_countries",
        API,
        "AvailablePhoneNumbers",
        "countries",
        key=("account_sid", "country_code"),
        read_strategy=FullRead(),
        derived={"account_sid": "account_sid"},
        has_next_page=False,
        has_item_endpoint=False,
    ),
    Stream(
        "conference_participants",
        API,
        "Conferences/{conference_sid}/Participants",
        "participants",
        key=("account_sid", "conference_sid", "call_sid"),
        # Twilio does not list participants of a conference that ended (docs, Conference Participant resource).
        parent=Parent(
            "conferences",
            {"conference_sid": "sid"},
            AllParents(),
            where=Condition("status", one_of=("init", "in-progress")),
        ),
        has_item_endpoint=False,
        cost="one request for each conference in progress",
    ),
    Stream(
        "message_media",
        API,
        "Messages/{message_sid}/Media",
        "media_list",
        parent=Parent("messages", {"message_sid": "sid"}, where=Condition("num_media", above=0)),
        cost="one request for each message with media that changed",
    ),
    Stream("applications", API, "Applications", "applications"),
    Stream("connect_apps", API, "ConnectApps", "connect_apps", read_strategy=FullRead()),
    Stream(
        "authorized_connect_apps",
        API,
        "AuthorizedConnectApps",
        "authorized_connect_apps",
        key=("account_sid", "connect_app_sid"),
        read_strategy=FullRead(),
        tokens_name_rows=False,
    ),
    Stream("keys", API, "Keys", "keys", derived={"account_sid": "account_sid"}),
    Stream("short_codes", API, "SMS/ShortCodes", "short_codes"),
    Stream(
        "notifications",
        API,
        "Notifications",
        "notifications",
        filter=Filter("MessageDate>", "MessageDate<", "message_date", unit=DAY),
    ),
    # The average grows while calls wait. If a call comes or goes, current_size changes too.
    Stream("queues", API, "Queues", "queues", not_compared=frozenset({"average_wait_time"})),
    Stream(
        "queue_members",
        API,
        "Queues/{queue_sid}/Members",
        "queue_members",
        key=("queue_sid", "call_sid"),
        read_strategy=FullRead(),
        # The list has only calls that wait now.
        parent=Parent("queues", {"queue_sid": "sid"}, AllParents(), where=Condition("current_size", above=0)),
        derived={"account_sid": "account_sid"},
        tokens_name_rows=False,
        not_compared=frozenset({"wait_time"}),  # grows while the call waits
        cost="one request for each queue in which calls wait",
    ),
    Stream(
        "call_events",
        API,
        "Calls/{call_sid}/Events",
        "events",
        key=("call_sid", "position"),  # rows have no identity and no date (OpenAPI, ListCallEvent)
        read_strategy=FullRead(),
        # Events are complete 15 minutes after the call, and kept for 30 days (docs, Call Events resource).
        parent=Parent("calls", {"call_sid": "sid"}, where=ENDED_CALL, max_age=30 * DAY),
        derived={"call_sid": "call_sid", "position": "#", "account_sid": "account_sid"},
        has_item_endpoint=False,
        tokens_name_rows=False,
        cost="one request for each call of the last 30 days that ended",
    ),
    Stream(
        "dependent_phone_numbers",
        API,
        "Addresses/{address_sid}/DependentPhoneNumbers",
        "dependent_phone_numbers",
        key=("address_sid", "sid"),
        parent=Parent("addresses", {"address_sid": "sid"}, AllParents()),
        derived={"address_sid": "address_sid"},
        has_item_endpoint=False,
        tokens_name_rows=False,
        cost="one request for each address",
    ),
    Stream(
        "assigned_add_ons",
        API,
        "IncomingPhoneNumbers/{resource_sid}/AssignedAddOns",
        "assigned_add_ons",
        key=("resource_sid", "sid"),  # several numbers can share an installed add-on
        parent=Parent("incoming_phone_numbers", {"resource_sid": "sid"}, AllParents()),
        tokens_name_rows=False,
        cost="one request for each phone number",
    ),
    Stream(
        "assigned_add_on_extensions",
        API,
        "IncomingPhoneNumbers/{resource_sid}/AssignedAddOns/{assigned_add_on_sid}/Extensions",
        "extensions",
        key=("resource_sid", "assigned_add_on_sid", "sid"),
        read_strategy=FullRead(),
        parent=Parent("assigned_add_ons", {"resource_sid": "resource_sid", "assigned_add_on_sid": "sid"}, AllParents()),
        tokens_name_rows=False,
        cost="one request for each phone number and for each add-on of one",
    ),
    Stream(
        "recording_add_on_results",
        API,
        "Recordings/{reference_sid}/AddOnResults",
        "add_on_results",
        # A result may leave the recording's date_updated unchanged. The tap requests the results for the last time in a
        # sync that begins at least an hour (lateness_hours) after the recording's last change.
        parent=Parent("recordings", {"reference_sid": "sid"}, where=Condition("status", one_of=("completed",))),
        cost="one request for each completed recording that changed; only add-ons make results",
    ),
    Stream(
        "recording_add_on_result_payloads",
        API,
        "Recordings/{reference_sid}/AddOnResults/{add_on_result_sid}/Payloads",
        "payloads",
        parent=Parent(
            "recording_add_on_results",
            {"reference_sid": "reference_sid", "add_on_result_sid": "sid"},
            where=Condition("status", one_of=("completed",)),
        ),
        cost="one request for each completed recording that changed, and for each result that completed",
    ),
    _numbers_for_sale("local", "Local"),
    _numbers_for_sale("toll_free", "TollFree"),
    _numbers_for_sale("mobile", "Mobile"),
    _numbers_for_sale("national", "National"),
    _numbers_for_sale("shared_cost", "SharedCost"),
    _numbers_for_sale("machine_to_machine", "MachineToMachine"),
    _numbers_for_sale("voip", "Voip"),
)
