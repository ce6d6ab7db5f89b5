# Not built or tried where this was written: there was no container runtime. Postgres and Redis come from outside.

FROM python:3.13-slim AS compiled
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY requirements-dev.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements-dev.lock
COPY pyproject.toml setup.py README.md ./
COPY src src
RUN python setup.py build_ext --inplace

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home attribution \
    && install --directory --owner=attribution --mode=0700 /var/lib/attribution
WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY --from=compiled /app/src src
COPY migrations migrations
ENV PYTHONPATH=/app/src \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    DATA_DIR=/var/lib/attribution
USER attribution
# journals of clicks that are not shipped yet: keep it on a disk that outlives the container
VOLUME /var/lib/attribution
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-P", "-m", "attribution"]
CMD ["serve"]
