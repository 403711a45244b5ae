"""What every page gets: policy, language, the visitor's address, a locked door."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from cascade_project.middleware import RealAddressMiddleware
from tests.plugins.processes import Processes


@pytest.mark.django_db
def test_health_tells_of_the_database(client: Client) -> None:
    assert client.get("/healthz").json() == {"database": "ok"}


@pytest.mark.django_db
def test_the_admin_speaks_russian_and_runs_only_its_own_scripts(client: Client) -> None:
    answer = client.get("/admin/login/")
    page = answer.content.decode()
    assert answer.status_code == 200
    assert answer["Content-Language"] == "ru"
    assert "Вход в" in page
    assert "Пароль" in page
    policy = answer["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-eval'" in policy
    assert "style-src 'self' 'unsafe-inline'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r'(src|href)="https?://', page), "a page loads something from elsewhere"


@pytest.mark.django_db
def test_public_pages_run_nothing(client: Client) -> None:
    policy = client.get("/healthz")["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy


@pytest.mark.django_db
def test_every_admin_page_opens(admin_client: Client) -> None:
    """Lists and empty forms of everything registered: the theme is young and 0.x."""
    from django.contrib import admin
    from django.urls import reverse

    broken = []
    for model, model_admin in admin.site._registry.items():
        names = ["changelist"]
        request = RequestFactory().get("/")
        request.user = get_user_model().objects.get()
        if model_admin.has_add_permission(request):
            names.append("add")
        for name in names:
            url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}")
            status = admin_client.get(url, follow=True).status_code
            if status != 200:
                broken.append((url, status))
    assert not broken


@pytest.mark.django_db
def test_a_guesser_is_locked_out_and_the_owner_elsewhere_is_not(client: Client) -> None:
    get_user_model().objects.create_superuser("owner", password="right-horse-battery")
    for _ in range(8):
        answer = client.post("/admin/login/", {"username": "owner", "password": "guess"})
    assert answer.status_code == 429
    right = {"username": "owner", "password": "right-horse-battery"}
    assert client.post("/admin/login/", right).status_code == 429
    assert client.post("/admin/login/", right, REMOTE_ADDR="198.51.100.7").status_code == 302


@pytest.mark.parametrize(
    ("proxies", "header", "seen"),
    [
        (0, "203.0.113.9", "10.0.0.2"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        (2, "1.1.1.1, 203.0.113.9, 10.0.0.3", "203.0.113.9"),
        (2, "203.0.113.9", "10.0.0.2"),
        (1, "", "10.0.0.2"),
    ],
)
def test_only_our_own_proxies_are_believed(proxies: int, header: str, seen: str, settings: object) -> None:
    settings.TRUSTED_PROXY_COUNT = proxies  # type: ignore[attr-defined]
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.2", HTTP_X_FORWARDED_FOR=header)

    def answer(inner: HttpRequest) -> HttpResponse:
        return HttpResponse(inner.META["REMOTE_ADDR"])

    assert RealAddressMiddleware(answer)(request).content.decode() == seen


@pytest.mark.processes
def test_the_real_server_serves_pages_and_styles(processes: Processes) -> None:
    from urllib.request import urlopen

    web = processes.web()
    with urlopen(f"{web.url}/admin/login/", timeout=10) as answer:
        page = answer.read().decode()
    style = re.search(r'href="(/static/unfold/[^"]+\.css)"', page)
    assert style
    with urlopen(f"{web.url}{style[1]}", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/css")
