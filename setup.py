"""How tap-twilio is packaged. `schemas/` lies at the top of the tree and ships as `tap_twilio.schemas`."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent


def version() -> str:
    """The version, read as text: importing the tap would need what it depends on."""
    found = re.search(r'^__version__ = "(.+)"$', (HERE / "tap_twilio/__init__.py").read_text("utf-8"), re.M)
    if found is None:
        raise SystemExit('tap_twilio/__init__.py has no line __version__ = "..."')
    return found[1]


setup(
    name="tap-twilio",
    version=version(),
    description="Singer tap that keeps a warehouse equal to a Twilio account",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    classifiers=[
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Database",
    ],
    python_requires=">=3.10",
    packages=[*find_packages(include=["tap_twilio", "tap_twilio.*"]), "tap_twilio.schemas"],
    package_dir={"tap_twilio.schemas": "schemas"},
    package_data={"tap_twilio.schemas": ["*.json"]},
    install_requires=[
        "singer-python>=6,<7",
        "requests>=2.32",
        "backoff>=2.2.1",
        "jsonschema",  # singer-python pins it: 2.6, Draft 4
        "msgspec>=0.18.6",  # reads JSON; it hands each number with its digits
        "orjson>=3.9",  # writes JSON
        "urllib3>=2.2.2",  # requests takes older ones too, which cannot read what has come and no more (read1)
        "xxhash>=3",
        "zlib-ng>=0.4",
    ],
    extras_require={
        "bench": ["hypothesis>=6.100", "matplotlib>=3.8"],  # the former for tests/reading/histories.py
        "dev": [
            "bandit[toml]>=1.7",
            "fsspec>=2024.12",
            "hypothesis>=6.100",
            "mypy>=1.11",
            "pre-commit>=3.7",
            "psycopg[binary]>=3.2",  # the tests read the warehouse with it
            "pytest>=8.2",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "ruff>=0.9",
            "setuptools>=70.1",  # the tests build a wheel without the network
            "twilio>=9.3",  # the sandbox is held to it
            "types-jsonschema",
            "types-requests",
            "types-setuptools",
        ],
        "state": ["adlfs>=2024.12", "fsspec>=2024.12", "gcsfs>=2024.12", "s3fs>=2024.12"],  # for run-sync --state URL
    },
    entry_points={"console_scripts": ["tap-twilio = tap_twilio.cli:main"]},
)
