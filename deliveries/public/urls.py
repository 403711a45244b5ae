"""Public addresses. They are in messages people keep and in providers' cabinets: never change them."""

from django.urls import path

from deliveries.public import apps, views

app_name = "public"
urlpatterns = [
    path("hooks/<int:channel_id>/<str:secret>/", views.callback, name="callback"),
    path("app/<int:channel_id>/<str:key>/", apps.join, name="app"),
    path("app/<int:channel_id>/<str:key>/receipt", apps.receipt, name="app_receipt"),
    path("app/<int:channel_id>/<str:key>/device", apps.device, name="app_device"),
    path("app/<int:channel_id>/<str:key>/client.js", apps.script, {"name": "client.js"}, name="app_client"),
    path("app/<int:channel_id>/<str:key>/sw.js", apps.script, {"name": "sw.js"}, name="app_worker"),
    path("l/<str:ref>", views.link, name="link"),
    path("l/<str:ref>/all", views.trap, name="trap"),
    path("u/<str:ref>", views.unsubscribe, name="unsubscribe"),
]
