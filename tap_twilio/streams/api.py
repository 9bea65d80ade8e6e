"""api.twilio.com, version 2010-04-01. Paths, filters, nullability: OpenAPI twilio_api_v2010, operations List*."""

from tap_twilio.moments import DAY

from .insights import CALL_SCORES, ENDED_CALL
from .model import Every, Filter, Has, Parent, Product, Recent, Stream, Whole, Window

API = Product("api", "/2010-04-01/Accounts/{account_sid}", suffix=".json", own_credentials=False)
ACCOUNTS = Product("api", "/2010-04-01", suffix=".json", own_credentials=False)

STREAMS = (
    Stream("addresses", API, "Addresses", "addresses", default=True),
    Stream("calls", API, "Calls", "calls", filter=Filter("StartTime>", "StartTime<", "start_time"), default=True),
    Stream(
        "conferences",
        API,
        "Conferences",
        "conferences",
        filter=Filter("DateCreated>", "DateCreated<", "date_created", unit=DAY, nullable=False),
        # Without Status, Twilio lists only those in progress (changelog, conference-list-endpoint).
        each={"Status": ("init", "in-progress", "completed")},
        default=True,
    ),
    Stream("transcriptions", API, "Transcriptions", "transcriptions", default=True),
    Stream(
        "messages",
        API,
        "Messages",
        "messages",
        # Further back than 400 days, a filtered read is refused with code 20004 (docs, Message resource).
        filter=Filter("DateSent>", "DateSent<", "date_sent", reach=400 * DAY),
        default=True,
    ),
    Stream(
        "call_feedback",
        API,
        "Calls/{call_sid}/Feedback",
        None,  # it has no list, and left the OpenAPI document in 2023 (docs, Call Feedback resource)
        parent=Parent("calls", {"call_sid": "sid"}, Recent(), where=ENDED_CALL),
        adds={"sid": "call_sid"},
        second=CALL_SCORES,
        default=True,
        cost="one request for each call that ended, within feedback_requests",
    ),
    Stream(
        "accounts",
        ACCOUNTS,
        "Accounts",
        "accounts",
        hidden=frozenset({"auth_token"}),
        scope="main",
        token_names_row=False,  # its tokens hold a filter and a position (OpenAPI, examples of ListAccount)
    ),
    Stream("account_balance", API, "Balance", None, key=("account_sid",), reads=Whole(), fetch=False),
    Stream("incoming_phone_numbers", API, "IncomingPhoneNumbers", "incoming_phone_numbers"),
    Stream("outgoing_caller_ids", API, "OutgoingCallerIds", "outgoing_caller_ids"),
    Stream(
        "recordings",
        API,
        "Recordings",
        "recordings",
        filter=Filter("DateCreated>", "DateCreated<", "date_created", nullable=False),
        # Else a recording that was deleted vanishes without a word (changelog, 2022-03-03).
        fixed={"IncludeSoftDeleted": "true"},
    ),
    Stream(
        "usage_records",
        API,
        "Usage/Records/Daily",
        "usage_records",
        key=("account_sid", "category", "start_date", "end_date"),
        # A day's sums move while calls are priced; how long, Twilio does not say.
        reads=Window(again=7 * DAY),
        filter=Filter("StartDate", "EndDate", "start_date", unit=DAY, nullable=False),
        # Its default is true, which counts subaccounts once more (OpenAPI, ListUsageRecordDaily).
        fixed={"IncludeSubaccounts": "false"},
        fetch=False,
        token_names_row=False,
    ),
    Stream(
        "available_phone_number_countries",
        API,
        "AvailablePhoneNumbers",
        "countries",
        key=("account_sid", "country_code"),
        reads=Whole(),
        adds={"account_sid": "account_sid"},
        paged=False,
        fetch=False,
    ),
    Stream(
        "conference_participants",
        API,
        "Conferences/{conference_sid}/Participants",
        "participants",
        key=("account_sid", "conference_sid", "call_sid"),
        # Those of a conference that ended are not listed (docs, Conference Participant resource).
        parent=Parent(
            "conferences", {"conference_sid": "sid"}, Every(), where=Has("status", among=("init", "in-progress"))
        ),
        fetch=False,
        cost="one request for each conference in progress",
    ),
    Stream(
        "message_media",
        API,
        "Messages/{message_sid}/Media",
        "media_list",
        parent=Parent("messages", {"message_sid": "sid"}, where=Has("num_media", above=0)),
        cost="one request for each message with media that changed",
    ),
)
