"""Addresses. Each app owns its own; this file only says where they hang."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from cascade_project.health import healthz
from cascade_project.home import home_part

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index", permanent=False)),
    path("", include("deliveries.public.urls")),
    path("healthz", healthz, name="healthz"),
    path("api/", include("api.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    # Before the admin, whose last pattern takes every address below it.
    path("admin/parts/home/", home_part, name="home_part"),
    path("admin/parts/", include("deliveries.urls")),
    path("admin/", admin.site.urls),
]
