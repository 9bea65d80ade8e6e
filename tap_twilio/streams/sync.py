"""Sync: sync.twilio.com. Facts: OpenAPI twilio_sync_v1; docs, sync/limits."""

from .model import AllParents, FullRead, Parent, Product, Stream

SYNC = Product("sync", "/v1", page_size=100)
OF_SERVICE = Parent("sync_services", {"service_sid": "sid"}, AllParents())
EACH_SERVICE = "one request for each Sync service"
# A permission changes no date of its document, list or map, so every sync visits all of them. It does so without
# acl_enabled too: no document says that only services with acl_enabled have permissions.
IN_EVERY_SYNC = "in every sync, whether or not its service has acl_enabled"

STREAMS = (
    Stream("sync_services", SYNC, "Services", "services"),
    Stream(
        "sync_documents",
        SYNC,
        "Services/{service_sid}/Documents",
        "documents",
        parent=OF_SERVICE,
        cost=f"{EACH_SERVICE}, and for each 100 documents",
    ),
    Stream(
        "sync_lists",
        SYNC,
        "Services/{service_sid}/Lists",
        "lists",
        parent=OF_SERVICE,
        cost=f"{EACH_SERVICE}, and for each 100 lists",
    ),
    Stream(
        "sync_maps",
        SYNC,
        "Services/{service_sid}/Maps",
        "maps",
        parent=OF_SERVICE,
        cost=f"{EACH_SERVICE}, and for each 100 maps",
    ),
    Stream(
        "sync_streams",
        SYNC,
        "Services/{service_sid}/Streams",
        "streams",
        parent=OF_SERVICE,
        cost=f"{EACH_SERVICE}, and for each 100 streams",
    ),
    Stream(
        "sync_document_permissions",
        SYNC,
        "Services/{service_sid}/Documents/{document_sid}/Permissions",
        "permissions",
        key=("document_sid", "identity"),
        read_strategy=FullRead(),
        parent=Parent("sync_documents", {"service_sid": "service_sid", "document_sid": "sid"}, AllParents()),
        tokens_name_rows=False,
        cost=f"one request for each document {IN_EVERY_SYNC}",
    ),
    Stream(
        "sync_list_items",
        SYNC,
        "Services/{service_sid}/Lists/{list_sid}/Items",
        "items",
        key=("list_sid", "index"),
        # A new, changed or removed item changes date_updated and revision of its list; the same holds for maps
        # (Twilio's twilio-sync 4.0.1, synclist.js and syncmap.js).
        parent=Parent("sync_lists", {"service_sid": "service_sid", "list_sid": "sid"}),
        tokens_name_rows=False,
        cost="one request for each list that changed, and for each 100 items of it",
    ),
    Stream(
        "sync_list_permissions",
        SYNC,
        "Services/{service_sid}/Lists/{list_sid}/Permissions",
        "permissions",
        key=("list_sid", "identity"),
        read_strategy=FullRead(),
        parent=Parent("sync_lists", {"service_sid": "service_sid", "list_sid": "sid"}, AllParents()),
        tokens_name_rows=False,
        cost=f"one request for each list {IN_EVERY_SYNC}",
    ),
    Stream(
        "sync_map_items",
        SYNC,
        "Services/{service_sid}/Maps/{map_sid}/Items",
        "items",
        key=("map_sid", "key"),
        parent=Parent("sync_maps", {"service_sid": "service_sid", "map_sid": "sid"}),
        tokens_name_rows=False,
        cost="one request for each map that changed, and for each 100 items of it",
    ),
    Stream(
        "sync_map_permissions",
        SYNC,
        "Services/{service_sid}/Maps/{map_sid}/Permissions",
        "permissions",
        key=("map_sid", "identity"),
        read_strategy=FullRead(),
        parent=Parent("sync_maps", {"service_sid": "service_sid", "map_sid": "sid"}, AllParents()),
        tokens_name_rows=False,
        cost=f"one request for each map {IN_EVERY_SYNC}",
    ),
)
