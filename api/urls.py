"""Addresses of the API. A version's addresses never change."""

from csp.constants import NONE, SELF, UNSAFE_INLINE
from csp.decorators import csp
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.routers import SimpleRouter

from api.views.about import Me
from api.views.campaigns import Campaigns
from api.views.codes import Codes
from api.views.contacts import Branches, Contacts, Lists, Suppressions, Tags
from api.views.content import Chains, Channels, Templates
from api.views.messages import Messages
from api.views.webhooks import Webhooks

router = SimpleRouter(use_regex_path=True)
for name, viewset in {
    "contacts": Contacts,
    "lists": Lists,
    "tags": Tags,
    "branches": Branches,
    "suppressions": Suppressions,
    "channels": Channels,
    "chains": Chains,
    "templates": Templates,
    "campaigns": Campaigns,
    "messages": Messages,
    "codes": Codes,
    "webhooks": Webhooks,
}.items():
    router.register(name, viewset, basename=f"api-{name}")

#: What Swagger UI needs: its own files, inline styles and images it draws itself; requests to this API only.
_swagger = csp(
    {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "base-uri": [NONE],
        "form-action": [NONE],
        "frame-ancestors": [NONE],
    }
)

urlpatterns = [
    path("v1/me/", Me.as_view({"get": "show"}), name="api-me"),
    path("v1/", include(router.urls)),
    # The document holds no data of anybody: it may be read without a key.
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs/", _swagger(SpectacularSwaggerSplitView.as_view(url_name="api-schema")), name="api-docs"),
]
