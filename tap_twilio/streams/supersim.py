"""Super SIM: supersim.twilio.com. Facts: OpenAPI twilio_supersim_v1; docs, iot/supersim/api and errors 83601-83605."""

from tap_twilio.timestamps import DAY

from .model import AllParents, Condition, Filter, FullRead, LogWindow, OpenParents, Parent, Product, Stream

SUPERSIM = Product("supersim", "/v1")
SOLD_TO_KORE = "Twilio sold it to KORE in 2024"
# New SIMs have no billing period. Inactive SIMs get no further one (docs, BillingPeriod resource).
EACH_SIM = Parent(
    "supersim_sims",
    {"sim_sid": "sid"},
    OpenParents(open_if=Condition("status", one_of=("ready", "active", "scheduled"))),
)

STREAMS = (
    Stream("supersim_sims", SUPERSIM, "Sims", "sims", cost=SOLD_TO_KORE),
    Stream(
        "supersim_billing_periods",
        SUPERSIM,
        "Sims/{sim_sid}/BillingPeriods",
        "billing_periods",
        parent=EACH_SIM,
        has_item_endpoint=False,
        cost=f"one request for each SIM that is ready or active, and for each that changed; {SOLD_TO_KORE}",
    ),
    Stream(
        "supersim_sim_ip_addresses",
        SUPERSIM,
        "Sims/{sim_sid}/IpAddresses",
        "ip_addresses",
        key=("sim_sid", "ip_address"),
        read_strategy=FullRead(),
        parent=EACH_SIM,
        derived={"sim_sid": "sim_sid", "account_sid": "account_sid"},
        has_item_endpoint=False,
        tokens_name_rows=False,
        cost=f"one request for each SIM that is ready or active, and for each that changed; {SOLD_TO_KORE}",
    ),
    Stream("supersim_fleets", SUPERSIM, "Fleets", "fleets", cost=SOLD_TO_KORE),
    Stream(
        "supersim_network_access_profiles",
        SUPERSIM,
        "NetworkAccessProfiles",
        "network_access_profiles",
        cost=SOLD_TO_KORE,
    ),
    Stream(
        "supersim_network_access_profile_networks",
        SUPERSIM,
        "NetworkAccessProfiles/{network_access_profile_sid}/Networks",
        "networks",
        key=("network_access_profile_sid", "sid"),
        read_strategy=FullRead(),
        parent=Parent("supersim_network_access_profiles", {"network_access_profile_sid": "sid"}, AllParents()),
        derived={"account_sid": "account_sid"},
        tokens_name_rows=False,
        cost=f"one request for each network access profile; {SOLD_TO_KORE}",
    ),
    Stream(
        "supersim_networks",
        SUPERSIM,
        "Networks",
        "networks",
        read_strategy=FullRead(),
        scope="global",
        cost=SOLD_TO_KORE,
    ),
    Stream("supersim_ip_commands", SUPERSIM, "IpCommands", "ip_commands", cost=SOLD_TO_KORE),
    Stream("supersim_sms_commands", SUPERSIM, "SmsCommands", "sms_commands", cost=SOLD_TO_KORE),
    Stream(
        "supersim_esim_profiles",
        SUPERSIM,
        "ESimProfiles",
        "esim_profiles",
        deselected_by_default=frozenset({"activation_code", "matching_id"}),  # secrets that give access to the SIM
        cost=SOLD_TO_KORE,
    ),
    Stream(
        "supersim_settings_updates",
        SUPERSIM,
        "SettingsUpdates",
        "settings_updates",
        derived={"account_sid": "account_sid"},
        has_item_endpoint=False,
        cost=SOLD_TO_KORE,
    ),
    Stream(
        "supersim_usage_records",
        SUPERSIM,
        "UsageRecords",
        "usage_records",
        key=("account_sid", "sim_sid", "period_start"),
        # Twilio adds the cost of a day later than its usage. No document says how much later.
        read_strategy=LogWindow(lookback=7 * DAY),
        # Twilio refuses dates other than midnights (83601), a StartTime 18 months ago (83605), and ranges of more than
        # 31 days grouped by SIM (83603). The tap adds up to three days to a range of 28 days.
        filter=Filter(
            "StartTime",
            "EndTime",
            "period_start",
            unit=DAY,
            midnights=True,
            nullable=False,
            max_age=540 * DAY,
            max_range=28 * DAY,
        ),
        # By default, Twilio returns one sum of all days and all SIMs. Grouped by SIM, sim_sid is never null.
        query={"Granularity": "day", "Group": "sim"},
        derived={"period_start": "period.start_time", "period_end": "period.end_time"},
        has_item_endpoint=False,
        tokens_name_rows=False,
        cost=f"one request for each 28 days of the last 18 months, at first; {SOLD_TO_KORE}",
    ),
)
