# Checked by reading only: there was no container engine where this was written.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    DJANGO_SETTINGS_MODULE=boot.settings \
    DJANGO_CONFIGURATION=Production \
    PORTAL_DATA_DIR=/data

# For PORTAL_CONTENT_TYPES.
RUN apt-get update && apt-get install -y --no-install-recommends libmagic1 && rm -rf /var/lib/apt/lists/*

RUN useradd --system --uid 10001 --home-dir /data portal \
    && install -d -o portal -g portal -m 0700 /data

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE manage.py ./
COPY boot boot
COPY portal portal
RUN pip install -c constraints.txt .

USER portal
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]

# The worker runs from the same image: python manage.py run_worker
# Settings that contradict each other are told in one line, before anything is served.
CMD ["sh", "-c", "python manage.py check && exec python -m boot.serve --host 0.0.0.0 --port 8000"]
