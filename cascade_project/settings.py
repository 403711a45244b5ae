"""Settings: one file, wholly driven by the environment.

There is no development or production module: the same file serves `make demo`, the tests and
a server, so what was tested is what runs. What differs is in .env.example. Nonsense is
refused at start (see environment.py), and no secret has a default.
"""

from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _

from cascade_project.environment import Environment

BASE_DIR = Path(__file__).resolve().parent.parent

env = Environment()

# --- Who and where we are ---------------------------------------------------------------------

DEBUG = env.flag("DEBUG", default=False)
SECRET_KEY = env.secret("SECRET_KEY")

#: What this process is: the web gets short database timeouts, workers get patient ones.
PROCESS_ROLE = env.choice("PROCESS_ROLE", "command", ("web", "worker", "beat", "listener", "command"))

#: Printed into messages and callback addresses; its scheme also decides cookie security.
PUBLIC_BASE_URL = env.origin("PUBLIC_BASE_URL", allow_plain_http=env.flag("ALLOW_PLAIN_HTTP", default=False))
_HTTPS = PUBLIC_BASE_URL.startswith("https://")
_PUBLIC_HOST = PUBLIC_BASE_URL.split("://")[1]

ALLOWED_HOSTS = [_PUBLIC_HOST.rsplit(":", 1)[0], *env.words("ALLOWED_HOSTS")]
CSRF_TRUSTED_ORIGINS = [PUBLIC_BASE_URL]

#: How many reverse proxies of ours stand in front; 0 means that forwarded headers are lies.
TRUSTED_PROXY_COUNT = env.number("TRUSTED_PROXY_COUNT", 0, minimum=0, maximum=5)

# --- Apps -------------------------------------------------------------------------------------

INSTALLED_APPS = [
    # Unfold stands before django.contrib.admin, whose templates it replaces.
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "unfold.contrib.inlines",
    "unfold.contrib.import_export",
    "unfold.contrib.simple_history",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    # Registers the operator classes that trigram indexes name.
    "django.contrib.postgres",
    "django_celery_beat",
    "import_export",
    "simple_history",
    "axes",
    "contacts",
    "templates_app",
    "channels",
    "campaigns",
    "deliveries",
    "analytics",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "api",
    "cascade_project",
]

MIDDLEWARE = [
    # First: everything below (throttling of logins, logs) must see the visitor, not the proxy.
    "cascade_project.middleware.RealAddressMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "cascade_project.middleware.NoNullMiddleware",
    "cascade_project.middleware.ContentPolicyMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    # Last, as axes asks: it turns a locked-out login into its own answer.
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "cascade_project.urls"
WSGI_APPLICATION = "cascade_project.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # The project's templates come before Unfold's: an app's admin/index.html would lose.
        "DIRS": [BASE_DIR / "cascade_project" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Database ---------------------------------------------------------------------------------

#: A transaction that sits idle holds its locks against every tick: the server ends it.
#: PostgreSQL's default price of a random page is that of a spinning disk: with it a batch of 64 rows is found by walking
#: through a table of thousands (seen). Nobody runs this on a spinning disk.
_SESSION = {"idle_in_transaction_session_timeout": "30s", "random_page_cost": "1.1"}
if PROCESS_ROLE == "web":
    # A page rather fails with an honest error than hangs behind a lock or a bad query while
    # the owner presses the button again. Workers and migrations wait as long as it takes.
    _SESSION |= {"lock_timeout": "5s", "statement_timeout": "60s"}

_DATABASE = env.postgres("DATABASE_URL")
_DATABASE["OPTIONS"] = {
    **(_DATABASE.get("OPTIONS") or {}),  # type: ignore[dict-item]  # environ's type is object
    "options": " ".join(f"-c {name}={value}" for name, value in _SESSION.items()),
    "application_name": f"cascade-{PROCESS_ROLE}",
}
# Persistent connections: opening one costs more than most of our statements. The health check
# makes a restart of PostgreSQL cost nobody an error page. Celery ignores CONN_MAX_AGE by
# closing after every task, see CELERY_DB_REUSE_MAX and celery.py.
_DATABASE["CONN_MAX_AGE"] = 300
_DATABASE["CONN_HEALTH_CHECKS"] = True
DATABASES = {"default": _DATABASE}

# --- Celery -----------------------------------------------------------------------------------

REDIS_URL = env.redis("REDIS_URL")

CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
# Nobody reads results: facts are rows. A result backend would only be a second thing to lose.
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_CREATE_MISSING_QUEUES = True
# Names, not modules: `@shared_task(name="deliveries.send")`. Imports have their own queue
# because one of them runs for minutes, sends because they must never wait behind one.
CELERY_TASK_ROUTES = {
    "deliveries.send*": {"queue": "send"},
    "contacts.import*": {"queue": "import"},
}
# Every task is safe to run twice (the database decides), so losing none is the better side.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A connection lost in the middle of a task must not cancel it: a send cut off between the
# request and its answer becomes an "outcome unknown", which is dearer than a doubled hint.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TASK_SOFT_TIME_LIMIT = 9 * 60
CELERY_TASK_TIME_LIMIT = 10 * 60
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_PROCESS_ALIVE_TIMEOUT = 60
CELERY_BROKER_CONNECTION_RETRY = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_TIMEOUT = 3
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Longer than the longest task limit (imports, 55 min): a message seen as lost while its
    # task still runs would run it a second time. Price: a hint that died with its worker
    # comes back after an hour; the ticks will have done its work long before.
    "visibility_timeout": 3600,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 25,
}
# A publisher gives up after about half a second; HintTask (celery.py) says why that is safe.
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 0.2,
}
# Celery closes the connection after every task unless told otherwise (measured: the largest
# single cost of a small task). Age and health are looked after by celery.py instead.
CELERY_DB_REUSE_MAX = 1_000_000
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
# How soon beat sees an edited tick, and the finest tick it can keep.
CELERY_BEAT_MAX_LOOP_INTERVAL = 1

# --- Sending ----------------------------------------------------------------------------------

#: Calls to providers in flight at once in one worker child. More is faster until the provider's
#: rate limit (which is the channel's setting) and dearer when a child is killed: each call in
#: flight then becomes an "outcome unknown".
SEND_IN_FLIGHT = env.number("SEND_IN_FLIGHT", 128, minimum=1, maximum=1000)
#: Seconds a call to a provider may take in all. What a killed worker had in hand is picked up after three times this
#: (deliveries.services.send.claim): shorter recovers sooner, and turns a slow provider's answers into unknown outcomes.
SEND_DEADLINE = env.number("SEND_DEADLINE", 15, minimum=2, maximum=60)
#: How many send workers a tick wakes: as many as there are processes on the `send` queue.
SEND_PARALLEL = env.number("SEND_PARALLEL", 2, minimum=1, maximum=64)

# --- Cache ------------------------------------------------------------------------------------

# Per process and not in Redis: what is cached (Unfold's search) need not be shared, and a dead
# Redis must not break a page (seen: error 500 in the admin's search).
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    # The API's limiter, which several web processes count in together; it lets everybody in while Redis is down.
    "shared": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cascade",
        "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 0.5},
    },
}

# --- Language and time ------------------------------------------------------------------------

LANGUAGE_CODE = "ru"
LANGUAGES = [("ru", _("Russian")), ("en", _("English"))]
# wording: Django's sentences that would bend our names; thirdparty: what Unfold, import-export
# and celery-beat leave untranslated. Ours comes first and so wins where the same text means
# something else here.
LOCALE_PATHS = [BASE_DIR / "locale", BASE_DIR / "locale" / "wording", BASE_DIR / "locale" / "thirdparty"]
TIME_ZONE = env.zone("TIME_ZONE", "Europe/Moscow")
USE_I18N = True
USE_TZ = True
CELERY_TIMEZONE = TIME_ZONE

# --- API --------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "api.pagination.NewestFirst",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_RATES": {
        "key": env.text("API_RATE", "600/min"),
        "stranger": env.text("API_STRANGER_RATE", "30/min"),
    },
    "EXCEPTION_HANDLER": "api.errors.handle",
    "UNAUTHENTICATED_USER": None,
    # "NaN" and "Infinity" are no JSON, and PostgreSQL takes none.
    "STRICT_JSON": True,
    # The proxy's own count is RealAddressMiddleware's business: REMOTE_ADDR is the visitor's already.
    "NUM_PROXIES": 0,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Cascade API",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "DESCRIPTION": "All that the admin can do for the main job. See docs/api.md.",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "ChannelKindEnum": "templates_app.models.KindChoices",
        "WebhookKindEnum": "deliveries.models.HookKind",
        "ExpectEnum": "channels.models.ExpectChoices",
        "ScopeEnum": "api.models.Scope",
    },
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "api.schema.add_problems"],
}

# --- Files ------------------------------------------------------------------------------------

STATIC_URL = "/static/"
#: Demo and tests serve files from the source folders: no collectstatic, no manifest to lag.
STATIC_FROM_SOURCE = env.flag("STATIC_FROM_SOURCE", default=False)
STATIC_ROOT = None if STATIC_FROM_SOURCE else env.text("STATIC_ROOT", str(BASE_DIR / ".static"))
WHITENOISE_USE_FINDERS = STATIC_FROM_SOURCE
WHITENOISE_AUTOREFRESH = DEBUG
MEDIA_ROOT = Path(env.text("MEDIA_ROOT", str(BASE_DIR / "media")))
MEDIA_URL = "/media/"  # never mapped in urls.py: uploads are other people's phone numbers
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if STATIC_FROM_SOURCE
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
FILE_UPLOAD_PERMISSIONS = 0o600
#: Selecting a page of recipients in the admin posts one field for each.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000

# --- Security ---------------------------------------------------------------------------------

#: Fernet keys of channel credentials. The first encrypts, all decrypt: rotation is putting a
#: new one in front, `manage.py rotate_channel_secrets`, then dropping the old one.
CHANNEL_SECRET_KEYS = env.fernet_keys("CHANNEL_SECRET_KEYS")

#: Keys the fingerprints of the stop-list, which outlive the contacts. Not derived from SECRET_KEY,
#: because that one may be rotated after a scare and the stop-list must not be lost with it.
SUPPRESSION_KEY = env.secret("SUPPRESSION_KEY")

#: `network:port` entries the outgoing seam may call although they are private (the emulator's,
#: a local proxy's). Everything else private is refused: an owner can type any base URL.
OUTGOING_ALLOWED_PRIVATE = env.networks("OUTGOING_ALLOWED_PRIVATE")

#: host -> file of the certificate authorities it is checked against, instead of the system's (MAX stands behind the
#: Russian state's). For these hosts alone: a root the system trusted for all could read everybody's traffic.
OUTGOING_CA_BUNDLES = env.ca_bundles("OUTGOING_CA_BUNDLES")

SESSION_COOKIE_SECURE = _HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = _HTTPS
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = _HTTPS
# The container's own health check speaks http from the inside.
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
if TRUSTED_PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = env.number(
    "HSTS_SECONDS", 365 * 24 * 3600 if _HTTPS else 0, minimum=0, maximum=2 * 365 * 24 * 3600
)
# Off unless asked for: they bind the owner's other subdomains, which we know nothing about.
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.flag("HSTS_INCLUDE_SUBDOMAINS", default=False)
SECURE_HSTS_PRELOAD = env.flag("HSTS_PRELOAD", default=False)
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
# Not our decision but the owner's: HSTS_INCLUDE_SUBDOMAINS and HSTS_PRELOAD above.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "admin:login"
#: Whoever opens the login page by itself lands on the first page and not on Django's /accounts/profile/.
LOGIN_REDIRECT_URL = "admin:index"

AXES_FAILURE_LIMIT = 7
AXES_COOLOFF_TIME = 0.25  # hours
# The pair, not the address alone: an office behind one address must not lock itself out.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False

#: Public pages (short links, unsubscribe, API) run no script and load nothing from elsewhere.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    },
}
#: The admin: Unfold's Alpine evaluates expressions in attributes, so without 'unsafe-eval' the
#: interface is dead (seen: 20 script errors on one page). Price: an injected attribute could
#: run code; our answer is that every text in the admin is escaped by templates.
ADMIN_CONTENT_SECURITY_POLICY = {
    "default-src": [SELF],
    "script-src": [SELF, UNSAFE_EVAL],
    "style-src": [SELF, UNSAFE_INLINE],
    "img-src": [SELF, "data:", "blob:"],
    "font-src": [SELF],
    "connect-src": [SELF],
    "object-src": [NONE],
    "form-action": [SELF],
    "base-uri": [NONE],
    "frame-ancestors": [NONE],
}

# --- Logs -------------------------------------------------------------------------------------

LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redact": {"()": "cascade_project.logs.RedactPersonalData"}},
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["redact"],
        },
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # Django's own handlers would print around the filter.
        "django": {"handlers": [], "level": LOG_LEVEL, "propagate": True},
        "django.server": {"handlers": [], "level": LOG_LEVEL, "propagate": True},
        # Four lines for each login otherwise.
        "axes": {"level": "WARNING"},
        # One line per tick and second otherwise.
        "celery.beat": {"level": "WARNING"},
        "django_celery_beat": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}

# --- Admin theme ------------------------------------------------------------------------------

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Cascade",
    "SITE_HEADER": "Cascade",
    "SITE_SYMBOL": "waterfall_chart",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("cascade/favicon.svg")},
    ],
    "STYLES": [lambda _request: static("cascade/admin.css")],
    "SCRIPTS": [lambda _request: static("cascade/admin.js")],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "cascade_project.home.dashboard",
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": "cascade_project.navigation.sections",
    },
}
