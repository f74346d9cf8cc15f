# Two images: `cpu` (the embedded engine) and `cuda` (adds the packages of the voxcpm engine).
# A container downloads nothing at start.  It listens on all addresses and therefore needs
# VOXCPM_API_KEYS, VOXCPM_API_KEYS_FILE or VOXCPM_ALLOW_OPEN=1.  It supports a read-only root file system
# (docker run --read-only --tmpfs /tmp); its state is in /data.

FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY voxcpm_openai voxcpm_openai
COPY plugins plugins
COPY voices voices
COPY deploy/compose.yaml deploy/nginx.conf deploy/voxcpm-openai.service deploy/

FROM build AS build-cpu
RUN pip install --constraint constraints.txt '.[mandarin,redis,spanish]'

FROM build AS build-cuda
# The constraint selects a release of torch, not a build: pip's default for Linux includes CUDA.
RUN pip install --constraint constraints.txt '.[redis,voxcpm]'

FROM python:3.12-slim AS run
RUN useradd --create-home --user-group --uid 10001 voxcpm && install -d -o voxcpm -g voxcpm -m 700 /data
WORKDIR /home/voxcpm
# All caches are in the volume: encoded prompts, results of the GPU trials, checkpoints, and kernels
# compiled by Triton and the driver.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    VOXCPM_HOST=0.0.0.0 \
    VOXCPM_PORT=7861 \
    VOXCPM_DATA_DIR=/data \
    XDG_CACHE_HOME=/data/cache \
    TRITON_CACHE_DIR=/data/cache/triton \
    CUDA_CACHE_PATH=/data/cache/cuda
VOLUME /data
EXPOSE 7861
HEALTHCHECK --interval=15s --timeout=5s --start-period=300s CMD ["python", "-c", \
  "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + (os.environ.get('VOXCPM_PORT') or '7861') + '/ready', timeout=4)"]
STOPSIGNAL SIGTERM
CMD ["voxcpm-openai", "serve"]
# The release workflow adds the version, the commit and the date.
LABEL org.opencontainers.image.title="voxcpm-openai" \
      org.opencontainers.image.description="A self-hosted, drop-in replacement for OpenAI's text-to-speech API." \
      org.opencontainers.image.source="https://github.com/voxcpm-openai/voxcpm-openai" \
      org.opencontainers.image.documentation="https://github.com/voxcpm-openai/voxcpm-openai/tree/main/docs" \
      org.opencontainers.image.licenses="Apache-2.0"

FROM run AS cuda
# Triton compiles the launchers of its kernels at the first start.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build-cuda /opt/venv /opt/venv
USER 10001:10001

FROM run AS cpu
COPY --from=build-cpu /opt/venv /opt/venv
USER 10001:10001
