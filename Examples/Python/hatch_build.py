# SPDX-License-Identifier: Apache-2.0
"""Puts the shared library into the wheel, and the platform into its name."""

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class LibraryHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":  # It loads what TINYSPARSE_LIBRARY names.
            return
        try:
            library, platform = os.environ["TINYSPARSE_WHEEL_LIBRARY"], os.environ["TINYSPARSE_WHEEL_PLATFORM"]
        except KeyError as missing:
            raise SystemExit(f"{missing} is not set: use build-wheels") from None
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["force_include"][library] = "tinysparse/libtinysparse.so"
