#!/usr/bin/env python
"""Django's command line. Needs the environment of .env.example; `scripts/manage` brings its own."""

import os
import sys

from django.core.management import execute_from_command_line


def main() -> None:
    """Run the command named in sys.argv with our settings."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cascade_project.settings")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
