# One image for web, workers and beat; compose.yaml says which process a container is.
FROM python:3.13-slim AS build
WORKDIR /app
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_PYTHON_DOWNLOADS=never
COPY requirements.txt ./
COPY scripts/installer.txt scripts/
# Both steps refuse a file whose hash is not in the lock. Byte-compiled: without it every start
# of a process costs 8 seconds more.
RUN python -m venv /app/.venv \
    && .venv/bin/pip install --require-hashes -r scripts/installer.txt \
    && .venv/bin/uv pip sync --compile-bytecode --require-hashes --python .venv/bin/python requirements.txt
COPY . .
# collectstatic needs complete settings but no secret and no server: these exist in this step only.
RUN .venv/bin/python scripts/catalogues.py compile \
    && DATABASE_URL=postgres://build@127.0.0.1/build REDIS_URL=redis://127.0.0.1/0 \
       PUBLIC_BASE_URL=https://build.invalid STATIC_ROOT=/app/static \
       SECRET_KEY="$(python -c 'import secrets; print(secrets.token_urlsafe(60))')" \
       SUPPRESSION_KEY="$(python -c 'import secrets; print(secrets.token_urlsafe(60))')" \
       CHANNEL_SECRET_KEYS="$(python -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())')" \
       .venv/bin/python manage.py collectstatic --noinput \
    && .venv/bin/python -m compileall -q -x '/\.venv/' .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin cascade \
    && install -d -o cascade -g cascade /data/media
WORKDIR /app
COPY --from=build /app /app
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    STATIC_ROOT=/app/static MEDIA_ROOT=/data/media
USER cascade
EXPOSE 8000
CMD ["python", "-m", "granian", "--interface=wsgi", "--host=0.0.0.0", "--port=8000", "--workers=1", "--blocking-threads=4", "--blocking-threads-idle-timeout=600", "--no-ws", "cascade_project.wsgi:application"]
