"""What the web server runs: `granian --interface wsgi cascade_project.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cascade_project.settings")
os.environ.setdefault("PROCESS_ROLE", "web")

application = get_wsgi_application()
