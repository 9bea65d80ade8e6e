"""What pyproject.toml cannot say: `schemas/` lies at the top of the tree and ships as `tap_twilio.schemas`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["tap_twilio", "tap_twilio.*"]), "tap_twilio.schemas"],
    package_dir={"tap_twilio.schemas": "schemas"},
    package_data={"tap_twilio": ["py.typed", "evidence.json"], "tap_twilio.schemas": ["*.json"]},
)
