"""Video: video.twilio.com. Facts: OpenAPI twilio_video_v1."""

from tap_twilio.timestamps import DAY

from .model import AllParents, Condition, Filter, OpenParents, Parent, Product, Rescan, Stream

VIDEO = Product("video", "/v1")
CREATED = Filter("DateCreatedAfter", "DateCreatedBefore", "date_created", nullable=False)
# Recordings and compositions change while Twilio processes them, and when they are deleted, but no date shows it. So
# rescans find the changes by fingerprints. A list is too long for a FullRead in each sync.
WITHOUT_DATE_UPDATED = Rescan(replication_key="date_created")
IN_ROOM = {"room_sid": "room_sid", "participant_sid": "sid"}
# Twilio lists only the current tracks (OpenAPI, ListRoomParticipantPublishedTrack).
CONNECTED = Parent(
    "video_room_participants", IN_ROOM, AllParents(), where=Condition("status", one_of=("connected", "reconnecting"))
)

STREAMS = (
    Stream(
        "video_rooms",
        VIDEO,
        "Rooms",
        "rooms",
        # The filter takes days (OpenAPI, ListRoom).
        filter=Filter("DateCreatedAfter", "DateCreatedBefore", "date_created", unit=DAY, nullable=False),
        # Without Status, Twilio lists only rooms in progress (OpenAPI, ListRoom).
        query_variants={"Status": ("in-progress", "completed", "failed")},
    ),
    Stream(
        "video_room_participants",
        VIDEO,
        "Rooms/{room_sid}/Participants",
        "participants",
        # Without Status, Twilio lists the connected participants of a room in progress, and all of an ended room
        # (OpenAPI, ListRoomParticipant).
        parent=Parent(
            "video_rooms", {"room_sid": "sid"}, OpenParents(open_if=Condition("status", one_of=("in-progress",)))
        ),
        cost="one request for each room in progress, and for each that ended",
    ),
    Stream(
        "video_published_tracks",
        VIDEO,
        "Rooms/{room_sid}/Participants/{participant_sid}/PublishedTracks",
        "published_tracks",
        key=("participant_sid", "sid"),
        parent=CONNECTED,
        derived={"account_sid": "account_sid"},
        tokens_name_rows=False,
        cost="one request for each room in progress and that ended, and for each participant who is connected",
    ),
    Stream(
        "video_subscribed_tracks",
        VIDEO,
        "Rooms/{room_sid}/Participants/{participant_sid}/SubscribedTracks",
        "subscribed_tracks",
        key=("participant_sid", "sid"),  # several participants receive a track
        parent=CONNECTED,
        derived={"account_sid": "account_sid"},
        tokens_name_rows=False,
        cost="one request for each room in progress and that ended, and for each participant who is connected",
    ),
    Stream(
        "video_room_transcriptions",
        VIDEO,
        "Rooms/{room_sid}/Transcriptions",
        "transcriptions",
        key=("ttid",),
        parent=Parent("video_rooms", {"room_sid": "sid"}, where=Condition("status", one_of=("completed",))),
        tokens_name_rows=False,
        cost="one request for each room that ended",
    ),
    Stream(
        "video_recordings",
        VIDEO,
        "Recordings",
        "recordings",
        read_strategy=WITHOUT_DATE_UPDATED,
        filter=CREATED,
        page_size=100,
    ),
    Stream(
        "video_compositions",
        VIDEO,
        "Compositions",
        "compositions",
        read_strategy=WITHOUT_DATE_UPDATED,
        filter=CREATED,
        page_size=100,
    ),
    Stream("video_composition_hooks", VIDEO, "CompositionHooks", "composition_hooks", filter=CREATED),
)
