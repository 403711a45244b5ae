"""Parts of admin pages that other apps load by name; they hang below the admin's address and its content policy."""

from django.urls import path

from deliveries import views

app_name = "deliveries"
urlpatterns = [path("person/<int:contact_id>/", views.history_of_contact, name="contact_history")]
