"""Flex: flex-api.twilio.com. Facts: OpenAPI twilio_flex_v1."""

from .model import AllParents, FullRead, Parent, Product, Stream

FLEX = Product("flex-api", "/v1")

STREAMS = (
    Stream("flex_channels", FLEX, "Channels", "flex_chat_channels"),
    Stream("flex_web_channels", FLEX, "WebChannels", "flex_chat_channels"),
    Stream("flex_flows", FLEX, "FlexFlows", "flex_flows"),
    Stream("flex_plugins", FLEX, "PluginService/Plugins", "plugins"),
    # If a version, a configuration or its content is archived, no date changes.
    Stream(
        "flex_plugin_versions",
        FLEX,
        "PluginService/Plugins/{plugin_sid}/Versions",
        "plugin_versions",
        read_strategy=FullRead(),
        parent=Parent("flex_plugins", {"plugin_sid": "sid"}, AllParents()),
        cost="one request for each Flex plugin",
    ),
    Stream(
        "flex_plugin_configurations", FLEX, "PluginService/Configurations", "configurations", read_strategy=FullRead()
    ),
    Stream("flex_plugin_releases", FLEX, "PluginService/Releases", "releases", read_strategy=FullRead()),
    Stream(
        "flex_configured_plugins",
        FLEX,
        "PluginService/Configurations/{configuration_sid}/Plugins",
        "plugins",
        key=("configuration_sid", "plugin_sid"),
        read_strategy=FullRead(),
        parent=Parent("flex_plugin_configurations", {"configuration_sid": "sid"}, AllParents()),
        tokens_name_rows=False,
        cost="one request for each configuration of Flex plugins",
    ),
)
