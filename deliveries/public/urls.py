"""Public addresses. They are in messages people keep and in providers' cabinets: never change them."""

from django.urls import path

from deliveries.public import views

app_name = "public"
urlpatterns = [
    path("hooks/<int:channel_id>/<str:secret>/", views.callback, name="callback"),
    path("l/<str:ref>", views.link, name="link"),
    path("l/<str:ref>/all", views.trap, name="trap"),
    path("u/<str:ref>", views.unsubscribe, name="unsubscribe"),
]
