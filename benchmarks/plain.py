"""The limit of `callbacks`: a Django application with one view that does one INSERT. Served as benchmarks.plain:application."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cascade_project.settings")

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

# Only the database and the logs of the project: no middleware and none of its addresses.
settings.MIDDLEWARE = []
settings.ROOT_URLCONF = __name__
settings.INSTALLED_APPS = []
django.setup()


def store(request: HttpRequest) -> HttpResponse:
    """Keep the body."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO bench_plain (body) VALUES (%s)", [request.body])
    return HttpResponse("ok", headers={"Content-Length": "2"})


urlpatterns = [path("plain/", store)]
application = WSGIHandler()
